"""Our own sampler: its stacks are true while threads run, and judged as those of py-spy are."""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.live.running import (
    TARGETS,
    Target,
    record,
    said,
    starved_by_itself,
    starving,
    target,
    wait_until,
)
from tests.live.session import flushed_s, has_stacks, load, running_target, session, spies
from tests.pythons import newest_always
from waitspy.model.clock import NS
from waitspy.model.stacks import Stack
from waitspy.recording import loading
from waitspy.remote.reader import Reader
from waitspy.remote.runtime import Gil
from waitspy.samplers.pyspy_binary import find_pyspy

pytestmark = pytest.mark.ptrace

DELTA = ("--sampler", "delta")


@contextlib.contextmanager
def calling(python: str) -> Iterator[Target]:
    """A thread that calls all the time, at no more than a microsecond a function."""
    with target([python, TARGETS / "one_callee.py", 0, 6]) as process:
        yield process


def never_together(process: Target, frames: Sequence[tuple[str, str]]) -> bool:
    """Whether a frame stands at a line that does not call the next; given as ``function:line``."""
    own = [place for place, file in frames if file == process.ready["file"]]
    callees = process.ready["callees"]
    return any(
        callees.get(below) != above.rsplit(":", 1)[0] for below, above in itertools.pairwise(own)
    )


def places(stack: Stack) -> list[tuple[str, str]]:
    return [(f"{frame.function}:{frame.line}", frame.file) for frame in stack]


@pytest.mark.parametrize("python", newest_always())
def test_no_stack_has_frames_that_were_never_there_together(python: str) -> None:
    with calling(python) as process:
        reader = Reader(process.pid)
        states = [state for own in reader.python_threads().values() for state in own]
        ran: list[list[tuple[str, str]]] = []
        deepest: set[tuple[str, str]] = set()  # innermost frames of whole stacks
        begun_s = time.monotonic()
        while time.monotonic() < begun_s + 1.5 or len(deepest) <= 5:
            assert time.monotonic() < begun_s + 30, "hardly a stack was seen whole"
            for stack, whole in reader.moving_stacks(states):
                frames = places(stack)
                if frames[0][0] != "<module>":
                    ran.append(frames)
                    if whole and frames[-1][1] == process.ready["file"]:
                        deepest.add(frames[-1])
    assert not [frames for frames in ran if never_together(process, frames)]


def test_py_spy_shows_such_stacks_of_the_same_program(tmp_path: Path) -> None:
    """So the target would show it."""
    with calling(sys.executable) as process:
        assert any(wrong_of_pyspy(process, tmp_path / f"raw{n}") for n in range(3))


def wrong_of_pyspy(process: Target, output: Path) -> int:
    """How many different stacks of a second of py-spy were never there."""
    argv = ["--nonblocking", "--full-filenames", "-r", "200", "-d", "1", "-f", "raw"]
    spy = [find_pyspy(), "record", *argv, "-o", str(output), "--pid", str(process.pid)]
    subprocess.run(spy, capture_output=True, check=True)
    wrong = 0
    for line in output.read_text().splitlines():
        frames = []
        for text in line.rpartition(" ")[0].split(";"):
            function, _, rest = text.partition(" (")
            file, _, number = rest.rstrip(")").rpartition(":")
            frames.append((f"{function}:{number}", file))
        wrong += never_together(process, frames)
    return wrong


@pytest.mark.parametrize("python", newest_always())
def test_a_stall_has_the_blame_and_no_other_program_is_run(python: str, tmp_path: Path) -> None:
    with target([python, TARGETS / "timer_loop.py", "blocked", 0.35, 0.3]) as server:
        report = record(server.pid, tmp_path / "rec", *DELTA, seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "blocked-loop"
    assert finding["wait"]["call"] == "time.sleep"
    assert finding["blame"]["source"] == "time.sleep(HARM_S)"
    (worker,) = report["workers"]
    assert worker["samples"] > 100
    recording = loading.load(str(tmp_path / "rec"))
    assert not [loss for loss in recording.losses if "stacks" in loss.what]
    (segment,) = recording.workers[0].segments
    assert "MainThread" in {thread.name for thread in segment.threads}
    assert not list((tmp_path / "rec" / "stacks").glob("*.trace.json"))


def test_a_healthy_loop_stays_silent(tmp_path: Path) -> None:
    with target([sys.executable, TARGETS / "timer_loop.py", "healthy", 0.35, 0.3]) as server:
        report = record(server.pid, tmp_path / "rec", *DELTA, seconds=2)
    assert starved_by_itself(report) == []


@pytest.mark.alone
def test_whoever_keeps_the_gil_in_c_is_seen_each_time(tmp_path: Path) -> None:
    with target([sys.executable, TARGETS / "gil_keeper.py", 0.4, 0.2]) as server:
        report = record(server.pid, tmp_path / "rec", *DELTA, seconds=4.4)
        kept = server.read_log()
    begun_s = report["recording"]["monotonic_start_s"]
    ended_s = begun_s + report["recording"]["duration_s"]
    whole = [one for one in kept if begun_s < one["start"] and one["end"] < ended_s]
    assert len(whole) >= 6
    found = {f["blame"]["function"]: f["episodes"] for f in starving(report)}
    for one in whole:
        episodes = [e for e in found[one["by"]] if e["start_s"] < one["end"] > one["start"]]
        episodes = [e for e in episodes if e["end_s"] > one["start"]]
        assert [e["evidence"][-1] for e in episodes] == ["gil"], f"{one} {said(report)}"
    assert {f["kind"] for f in starving(report)} == {"gil-bound"}, said(report)


@pytest.mark.parametrize("python", newest_always())
def test_a_look_tells_who_holds_the_gil_and_whether_garbage_is_collected(python: str) -> None:
    with target([python, TARGETS / "gil_keeper.py", 60, 0, "collects"]) as process:
        reader = Reader(process.pid)
        (state,) = reader.python_threads()[process.ready["tid"]]
        kept = {0: Gil(state.address, collects=True)}
        wait_until(lambda: reader.gils() == kept, "it collects, and keeps the GIL")
    with target([python, TARGETS / "standing_threads.py"]) as process:
        reader = Reader(process.pid)
        wait_until(lambda: reader.gils() == {0: Gil(None, collects=False)}, "nobody runs")


def test_killed_it_loses_at_most_a_second(tmp_path: Path) -> None:
    rec = tmp_path / "rec"
    argv = ("record", "-d", 60, "-o", rec, *DELTA)
    with running_target() as process, session(tmp_path, *argv, process.pid) as recorder:
        wait_until(lambda: flushed_s(rec) > 1.5, "nothing was written")
        assert spies(process.pid) == []
        killed_ns = time.monotonic_ns()
        recorder.send_signal(signal.SIGKILL)
        recorder.wait()
    recording = load(rec)
    has_stacks(recording)
    (segment,) = recording.workers[0].segments
    assert killed_ns - segment.end_ns < 2 * NS  # a second, and what a busy machine adds to it
