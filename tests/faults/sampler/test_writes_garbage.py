"""py-spy says that it has written, but its file is empty, garbage, or half a trace.

The recording loads, half a trace gives what it holds, and each lost file is told, many of one kind in one line.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.sampler.fakes import at_its_end, event, looked_beside, run_with, script
from tests.live.session import BY_PYSPY, load, run, stack_seconds

KEPT = "what was recorded before is reported"


@pytest.mark.parametrize(
    "writes",
    [": > $output", "head -c 3000 /dev/urandom > $output", 'echo "{}" > $output'],
    ids=["empty", "garbage", "another shape"],
)
def test_what_is_no_trace(tmp_path: Path, target: subprocess.Popen[str], writes: str) -> None:
    pyspy = at_its_end(f"{writes}; wrote")
    code, out, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "0.5", "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert (loss.what, loss.pid, loss.remedy) == ("stacks, segment 0", target.pid, KEPT)
    assert loss.why.startswith("cannot be read: not a py-spy trace")
    assert loss.why in " ".join(out.split())
    looked_beside(recording)
    assert run(tmp_path, "flamegraph", "rec", "--weight", "wall")[0] == 0


def test_half_a_trace(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    whole = ",".join(
        [
            event(f"thread ({target.pid}): MainThread", "B", 1000),
            event("seen", "B", 1000, filename="/app.py", line=3),
            event("seen", "E", 301_000, filename="/app.py", line=3),
            event("not_seen", "B", 301_000, filename="/app.py", line=4),
        ]
    )
    pyspy = at_its_end(f"cat > $output <<'END'\n[{whole[:-30]}\nEND\nwrote")
    code, _, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "0.5", "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert (loss.what, loss.why) == ("stacks, segment 0", "the file is cut short")
    assert stack_seconds(recording) == pytest.approx(0.3)
    looked_beside(recording)


def test_one_that_ends_at_once_with_garbage_is_not_started_over_and_over(
    tmp_path: Path, target: subprocess.Popen[str]
) -> None:
    pyspy = script('echo "?" > $output; wrote')
    code, _, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "1.6", "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    count = int(loss.what.removeprefix("stacks, ").split()[0])
    assert loss.what == f"stacks, {count} segments from 0 to {count - 1}"
    assert 2 <= count <= 3  # at 0, 0.3 and 0.9 s; without waiting longer each time there were five
    looked_beside(recording)
