"""Servers that a fault happens to: one that blocks its loop, or one that is well; and what is found."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema

import waitspy
from tests.live.harms import blamed
from tests.live.running import TARGETS, WAITSPY, Target, client, said, starved_by_itself, target
from tests.live.session import no_spy_is_left, run
from waitspy.kernel import procfs
from waitspy.model.recorded import WorkerRecord
from waitspy.render.reports.json_report import schema

SERVER = TARGETS / "loop_server.py"
BLOCKED = ("sleep", "0.25", "0.3")
"""It blocks its loop for a quarter of a second, again and again."""

HEALTHY = ("healthy", "0", "0.2")


@contextlib.contextmanager
def served(
    mode: Sequence[str] = BLOCKED, *, by: Sequence[object] = (sys.executable,), **more: Any
) -> Iterator[Target]:
    """A line server with clients, started by that command; afterwards it answers as before."""
    with target([*by, more.pop("script", SERVER), *mode], **more) as server:
        port = server.ready["port"]
        with client(port):
            yield server
            answers(port)


def answers(port: int) -> None:
    """It is there and does what it is there for."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"ask\n")
        assert connection.recv(100) == b"answer\n"


def untouched(pid: int, *, tracer: int = 0) -> None:
    """Nobody looks at it any more, and its threads run as if nobody ever had."""
    no_spy_is_left(pid)
    for tid in procfs.threads(pid):
        try:
            status = procfs.parse_status(procfs.read(pid, f"task/{tid}/status"))
            state = procfs.parse_stat(procfs.read(pid, f"task/{tid}/stat")).state
        except ProcessLookupError:  # a thread that has just ended
            continue
        assert status.tracer_pid == tracer
        assert state in "SRDX"


def recorded(
    folder: Path, what: object, *options: object, seconds: float = 1.2, by: Sequence[str] = WAITSPY
) -> dict[str, Any]:
    """The report of a recording that went well, checked against its schema."""
    code, out, err = run(folder, "record", what, "-d", seconds, "-o", "rec", *options, waitspy=by)
    assert (code, err) == (0, ""), out
    return report(folder)


def report(folder: Path) -> dict[str, Any]:
    """The JSON report of the recording in there."""
    told = json.loads(waitspy.load(folder / "rec").report("json"))
    jsonschema.validate(told, schema())
    assert isinstance(told, dict)
    return told


def blocks(folder: Path, told: dict[str, Any], pid: int, *, source: bool = True) -> None:
    """The one thing that starves is the blocked loop of that process, blamed on its line."""
    found = blamed(told, folder / "rec")
    (finding,) = (one for one in found if one in starved_by_itself(told))
    assert finding["kind"] == "blocked-loop", said(told)
    assert finding["pids"] == [pid]
    assert finding["wait"]["kind"] == "sleep", finding
    assert finding["blame"]["function"] == "sleep", finding
    assert os.path.basename(finding["blame"]["file"]) == SERVER.name
    assert finding["blame"].get("source") == ("time.sleep(HARM_S)" if source else None)
    assert 0.15 < finding["longest_s"] < 0.6, said(told)


def watched(told: dict[str, Any], pid: int) -> dict[str, Any]:
    """The worker of that pid, of whom everything could be watched."""
    (worker,) = (one for one in told["workers"] if one["pid"] == pid)
    assert set(worker["oracles"].values()) == {"ok"}, worker
    return dict(worker)


def prelude(code: str) -> tuple[str, ...]:
    """A Python that runs this code, and then a script in the same process."""
    more = "\nimport runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    return sys.executable, "-c", code + more


def functions(worker: WorkerRecord) -> set[str]:
    """All that it was seen to run."""
    return {
        frame.function
        for segment in worker.segments
        for thread in segment.threads
        for interval in thread.intervals
        for frame in interval.stack
    }


def lost(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The losses, but for looks that were late because other tests had the CPU."""
    return [loss for loss in told["losses"] if loss["what"] != "some looks of the oracles"]
