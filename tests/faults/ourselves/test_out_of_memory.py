"""The kernel kills waitspy as it reports, because its cgroup (a container, a systemd unit) has no memory left.

The recording is whole, and can be reported on elsewhere; the target works on.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.running import wait_until
from tests.live.session import finished, flushed_s, has_stacks, load, run, sampled, session

pytestmark = pytest.mark.may_skip

_CGROUPS = Path("/sys/fs/cgroup")
_MOST_BYTES = 400_000


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A cgroup that may have less than half a megabyte."""
    controllers = _CGROUPS / "cgroup.subtree_control"
    if (_CGROUPS / "memory" / "memory.limit_in_bytes").exists():
        above, limit = _CGROUPS / "memory", "memory.limit_in_bytes"
    elif controllers.exists() and "memory" in controllers.read_text().split():
        above, limit = _CGROUPS, "memory.max"
    else:
        pytest.skip("no cgroup that limits memory")
    group = above / f"waitspy-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"may not make a cgroup: {error}")
    (group / limit).write_text(str(_MOST_BYTES))
    yield group
    wait_until(lambda: not (group / "cgroup.procs").read_text(), "somebody is in the cgroup")
    group.rmdir()


def test_the_recording_is_whole(
    tmp_path: Path, little_memory: Path, target: subprocess.Popen[str]
) -> None:
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        wait_until(lambda: flushed_s(tmp_path / "rec") > 0.5, "nothing was written")
        (little_memory / "cgroup.procs").write_text(str(waitspy.pid))
        waitspy.send_signal(signal.SIGINT)
        code, out, err = finished(waitspy)
    assert (code, out, err) == (-signal.SIGKILL, "", "")
    recording = load(tmp_path / "rec")
    assert recording.losses == ()
    has_stacks(recording)
    code, out, err = run(tmp_path, "report", "rec")
    assert (code, err) == (0, "")
    assert f"command of {target.pid}" in out
