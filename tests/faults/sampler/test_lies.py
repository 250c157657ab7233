"""py-spy writes times before or after the recording, threads that there are not, impossible lines, endless names.

What cannot be true is told and not believed, or shown as unknown; no report is made long or wrong by it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.sampler.fakes import STARVING, event, looked_beside, run_with, tells
from tests.live.session import BY_PYSPY, load, run, stack_seconds
from tests.live.started import started


def shown(tid: int, name: str, start_us: int, end_us: int, line: int = 3) -> list[str]:
    """A thread that shows one function."""
    root = f"thread ({tid}): MainThread"
    place = {"filename": "/app.py", "line": line}
    return [
        event(root, "B", start_us),
        event(name, "B", start_us, **place),
        event(name, "E", end_us, **place),
        event(root, "E", end_us),
    ]


@pytest.mark.parametrize(
    ("start_us", "end_us", "why"),
    [
        (10**12, 2 * 10**12, "its times are after its end"),
        (1000, 10**40, "a time is out of range"),
        (-5000, 300_000, "a time is out of range"),
        (400_000, 1000, "its times go back"),
    ],
    ids=["future", "far future", "past", "backwards"],
)
def test_times_that_cannot_be(
    tmp_path: Path, target: subprocess.Popen[str], start_us: int, end_us: int, why: str
) -> None:
    pyspy = tells(*shown(target.pid, "f", start_us, end_us))
    code, out, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "0.5", "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert loss.what == "stacks, segment 0"
    assert loss.why == f"cannot be read: not a py-spy trace: {why}"
    assert why in out
    looked_beside(recording)


def test_a_time_that_is_partly_true_is_believed_until_the_end(
    tmp_path: Path, target: subprocess.Popen[str]
) -> None:
    pyspy = tells(*shown(target.pid, "f", 1000, 10**12))
    code, _, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "0.5", "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    assert recording.losses == ()
    assert 0.2 < stack_seconds(recording) < recording.info.duration_s + 0.5


def test_a_thread_that_there_is_not(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    pyspy = tells(*shown(999_999_999, "f", 1000, 1_200_000))
    code, _, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "1.4", "-o", "rec")
    assert (code, err) == (0, "")
    (loss,) = load(tmp_path / "rec").losses
    assert loss.why == "its interpreter names a thread 999999999 that the process does not have"


@pytest.mark.parametrize("line", [-7, 10**30])
def test_a_line_that_cannot_be_is_unknown(
    tmp_path: Path, target: subprocess.Popen[str], line: int
) -> None:
    pyspy = tells(*shown(target.pid, "f", 1000, 300_000, line))
    code, _, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "0.4", "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    assert recording.losses == ()
    (worker,) = recording.workers
    frames = {f for thread in worker.segments[0].threads for i in thread.intervals for f in i.stack}
    assert {(frame.function, frame.line) for frame in frames} == {("f", None)}


def test_an_endless_name_hides_no_line(tmp_path: Path) -> None:
    with started([sys.executable, "-c", STARVING]) as (process, _):
        pyspy = tells(*shown(process.pid, "f" * 100_000, 1000, 900_000))
        args = (*BY_PYSPY, process.pid, "-d", "1", "-o", "rec")
        code, out, err = run_with(tmp_path, pyspy, *args)
    assert (code, err) == (0, "")
    markdown = run(tmp_path, "report", "rec", "-f", "markdown")[1]
    for text in (out, markdown):
        assert "block (<string>:5) blocked the only worker" in text.replace("`", "")
        assert len(text) < 10_000
