"""py-spy gets no memory, or is refused a file of its size.

The recording ends in time with what needs no stacks, and their loss is told.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.sampler.fakes import PYSPY, looked_beside, run_with, script
from tests.live.session import BY_PYSPY, load


@pytest.mark.parametrize(
    ("limit", "why"),
    [("-v 9000", "SIGABRT"), ("-f 1", "SIGXFSZ, as what it wrote became too large")],
    ids=["memory", "size of files"],
)
def test_a_limit_of_py_spy(
    tmp_path: Path, target: subprocess.Popen[str], limit: str, why: str
) -> None:
    pyspy = script(f'ulimit {limit}; exec {PYSPY} "$@"')
    code, out, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "1.2", "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert "stacks" in loss.what
    assert loss.why == f"py-spy was killed by {why}"
    assert loss.why in " ".join(out.split())
    looked_beside(recording)
