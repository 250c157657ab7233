"""/proc is mounted so that it hides the processes of others (hidepid=2) or shows nothing but processes (subset=pid).

As root, a stall is found as ever and nothing is lost. Another user is told in two lines that it is hidden.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import pytest

from tests.faults.ourselves.handicapped import mounted, needs_mount
from tests.faults.ourselves.servers import STALLING, is_told_to_sleep, loop, recorded
from tests.live.running import WAITSPY
from tests.live.session import AS_NOBODY, run, said_well

_LINUX = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])
pytestmark = [
    pytest.mark.may_skip,
    needs_mount,
    # Before, all mounts of /proc were one: the options would hold for the whole machine.
    pytest.mark.skipif(_LINUX < (5, 8), reason="needs Linux 5.8: a /proc of its own"),
]

HIDING = "mount -t proc -o hidepid=2 proc /proc"


@pytest.mark.parametrize("options", ["hidepid=2", "hidepid=2,subset=pid"])
def test_root_finds_a_stall(tmp_path: Path, options: str) -> None:
    with loop(*STALLING) as pid:
        waitspy = mounted(f"mount -t proc -o {options} proc /proc")
        report, _ = recorded(tmp_path, pid, waitspy=waitspy)
    is_told_to_sleep(report)
    assert report.losses == ()


def test_who_is_not_shown_a_process_is_told(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    os.chmod(tmp_path, 0o777)
    for parent in tmp_path.parents[:3]:
        os.chmod(parent, 0o755)
    waitspy = [*mounted(HIDING)[: -len(WAITSPY)], *AS_NOBODY]
    code, out, err = run(tmp_path, "record", target.pid, "-d", "1", waitspy=waitspy)
    assert (code, out) == (1, "")
    said_well(err, str(target.pid), "/proc hides it from this user")
    assert os.listdir(tmp_path) == []
