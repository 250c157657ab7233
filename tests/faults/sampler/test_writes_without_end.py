"""py-spy writes messages, or its trace, without end.

It is ended long before it fills the memory or the disk, its file is removed, and the missing stacks are told with the cause.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.sampler.fakes import at_its_end, looked_beside, run_with, script
from tests.live.session import BY_PYSPY, load, meta, run

MOST_MB = 400  # of memory, for waitspy and what it starts

MESSAGES = "py-spy wrote messages without end"
TOO_LARGE = "py-spy was killed by SIGXFSZ, as what it wrote became too large"


@pytest.mark.parametrize(
    ("pyspy", "why"),
    [
        (script("exec yes"), MESSAGES),
        (script("exec cat /dev/zero >&2"), MESSAGES),
        (at_its_end("exec yes"), MESSAGES),
        (script("exec cat /dev/zero > $output"), TOO_LARGE),
    ],
    ids=["stdout", "stderr without a line", "at its end", "the trace"],
)
def test_one_that_does_not_stop_writing(
    tmp_path: Path, target: subprocess.Popen[str], pyspy: str, why: str
) -> None:
    code, out, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "0.6", "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    told = {(loss.what, loss.why) for loss in recording.losses}
    paused = {one for one in told if "to stay within the CPU budget" in one[1]}
    assert told - paused == {("stacks", why)}
    assert why in " ".join(out.split())
    looked_beside(recording)
    assert sum(file.stat().st_size for file in (tmp_path / "rec" / "stacks").iterdir()) < 1 << 20
    assert meta(tmp_path / "rec")["cost"]["peak_rss_mb"] < MOST_MB


def test_a_trace_of_enormous_size_is_not_read(
    tmp_path: Path, target: subprocess.Popen[str]
) -> None:
    pyspy = at_its_end("truncate -s 20G $output; truncate -s 60M $output; wrote")
    code, _, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "0.5", "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert (loss.what, loss.pid) == ("stacks, segment 0", target.pid)
    assert loss.why == "cannot be read: parts of it were never written"
    assert run(tmp_path, "report", "rec")[0] == 0
    looked_beside(recording)
