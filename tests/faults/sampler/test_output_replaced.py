"""In the place of the file that py-spy writes is a pipe, a link or a folder.

Nothing waits for it, nothing is read through it, and the missing stacks are told with what is in their place; the rest is recorded.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.sampler.fakes import (
    ENDS_WITHIN_S,
    PYSPY,
    at_its_end,
    looked_beside,
    run_with,
    script,
)
from tests.live.session import BY_PYSPY, load, run


@pytest.mark.parametrize(
    ("puts", "why"),
    [
        ("mkfifo $output", "it is not a regular file"),
        ("ln -s /etc/passwd $output", "it is a link"),
        ("mkdir $output", "it is not a regular file"),
        ("ln -s /dev/zero $output", "it is a link"),
    ],
    ids=["pipe", "link", "folder", "link to a device"],
)
def test_it_is_not_opened(
    tmp_path: Path, target: subprocess.Popen[str], puts: str, why: str
) -> None:
    pyspy = at_its_end(f"{puts}; wrote")
    code, out, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "0.5", "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert (loss.what, loss.why) == ("stacks, segment 0", f"cannot be read: {why}")
    assert loss.why in out
    looked_beside(recording)
    code, _, err = run(tmp_path, "report", "rec")
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("puts", "why"),
    [
        ("mkdir", "Is a directory (os error 21)"),
        pytest.param("mkfifo", "did not write within 10 s", marks=pytest.mark.slow),
    ],
)
def test_the_real_one_cannot_write(
    tmp_path: Path, target: subprocess.Popen[str], puts: str, why: str
) -> None:
    began_s = time.monotonic()
    pyspy = script(f'{puts} $output; exec {PYSPY} "$@"')
    code, out, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "0.6", "-o", "rec")
    assert (code, err) == (0, "")
    assert time.monotonic() - began_s < ENDS_WITHIN_S
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert loss.what == "stacks"
    assert why in loss.why
    assert why in " ".join(out.split())
    looked_beside(recording)
