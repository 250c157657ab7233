"""The folder for temporary files is full, may not be written, or runs no programs.

py-spy samples and writes as ever: nothing is lost.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.sampler.seen import has_stacks
from tests.live.running import WAITSPY
from tests.live.session import finished, load, session


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder that is not below /tmp."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.mark.may_skip
@pytest.mark.parametrize(
    "options", ["size=4k,nr_inodes=1", "ro", "noexec"], ids=["full", "read-only", "noexec"]
)
def test_py_spy_does_without(elsewhere: Path, target: subprocess.Popen[str], options: str) -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not make a mount namespace")
    # The mount is seen by this waitspy and its py-spy only, and goes with them.
    line = f'mount -t tmpfs -o {options} tmpfs /tmp && exec "$@"'
    argv = ("unshare", "-m", "sh", "-c", line, "sh", *WAITSPY)
    args = ("record", target.pid, "-d", "0.8", "-o", "rec")
    with session(elsewhere, *args, waitspy=argv) as process:
        code, _, err = finished(process)
    assert (code, err) == (0, "")
    recording = load(elsewhere / "rec")
    assert recording.losses == ()
    has_stacks(recording)
