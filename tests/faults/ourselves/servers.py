"""Servers that waitspy looks at while it is in trouble itself, and what it says of them."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.live.running import TARGETS, client, target
from tests.live.session import (
    finished,
    is_left_alone,
    lasting,
    load,
    no_spy_is_left,
    sampled,
    session,
)
from tests.live.web import load as requests
from waitspy.judge import analysis
from waitspy.model.clock import NS
from waitspy.model.judged import Finding, Report

HEALTHY = ("healthy", 0, 0.2)
STALLING = ("sleep", 0.3, 0.2)
NEVER_ANSWERING = ("sleep", 60, 0.1)
"""Modes of the line server: what harms its loop, for how long, and after which pause."""


@contextmanager
def loop(*mode: object) -> Iterator[int]:
    """The pid of a line server with clients; afterwards it answers, and nobody looks at it."""
    argv = [sys.executable, TARGETS / "loop_server.py", *mode]
    with target(argv) as server, client(server.ready["port"]):
        yield server.pid
        no_spy_is_left(server.pid)
        is_left_alone(server.pid)
        if mode != NEVER_ANSWERING:
            with socket.create_connection(("127.0.0.1", server.ready["port"]), 30) as connection:
                connection.sendall(b"still there?\n")
                assert connection.recv(100)


@contextmanager
def executor(case: str) -> Iterator[int]:
    """The pid of a process with a pool of threads."""
    with target([sys.executable, TARGETS / "pools.py", case]) as pool:
        yield pool.pid


@contextmanager
def listener(seconds: float) -> Iterator[int]:
    """One process that takes so long for a request, and four clients."""
    argv = [sys.executable, TARGETS / "sync_server.py", 1, seconds]
    with target(argv) as server, requests(server.ready["port"], "/", 4):
        yield server.pid


def recorded(
    folder: Path,
    pid: int,
    *options: object,
    err: str = "",
    **more: Any,
) -> tuple[Report, str]:
    """What is judged of a recording of that process, and what was said at its end.

    It goes on for a second after its first stacks.
    """
    with session(folder, "record", pid, "-d", "50", "-o", "rec", *options, **more) as waitspy:
        sampled(folder / "rec")
        lasting(1.1)
        waitspy.send_signal(signal.SIGINT)
        code, out, said = finished(waitspy)
    assert (code, said) == (0, err), out
    return judged(folder / "rec"), out


def judged(recording: Path) -> Report:
    return analysis.analyse(load(recording)).report


def by_itself(report: Report) -> list[Finding]:
    """The findings but for those of the CPU, which tests beside this one may take."""
    return [finding for finding in report.findings if finding.kind.name != "no-cpu"]


def is_well(report: Report) -> None:
    """Nobody is accused."""
    assert by_itself(report) == []


def is_told_to_sleep(report: Report, at_most_s: float = 0.3) -> None:
    """The only finding is the sleep that blocks the loop, not longer than it is (and a margin)."""
    found = [one for one in by_itself(report) if not _began_before_a_sample(one, report)]
    assert [(one.kind.name, one.verdict) for one in found] == [("blocked-loop", "starving")], found
    (finding,) = found
    assert finding.blame is not None
    assert finding.blame.function == "sleep"
    assert finding.longest_s < at_most_s + 0.06


def _began_before_a_sample(finding: Finding, report: Report) -> bool:
    """Whether its first stack may be another's: on a busy machine a sampler begins late."""
    (record,) = report.workers
    first_ns = min(
        interval.start_ns
        for segment in record.segments
        for thread in segment.threads
        for interval in thread.intervals
    )
    return all(one.start_s * NS <= first_ns for one in finding.episodes)


def is_cleared(report: Report, out: str) -> None:
    """Nobody is accused, and that is what is said first."""
    is_well(report)
    assert report.findings or out.startswith("no starvation seen"), out


def not_seen(report: Report, oracle: str) -> str:
    """Why that oracle saw nothing of the only worker."""
    (worker,) = report.workers
    why = worker.oracles[oracle]
    assert why != "ok"
    return why
