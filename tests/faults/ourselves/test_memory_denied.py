"""The kernel denies process_vm_readv(2), as the seccomp profile of a container may.

Before anything is kept, waitspy says in two lines which call is refused and what to do. A command that it
starts runs all the same; its process is told as not attached, and there is no all-clear.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.ourselves.handicapped import denied
from tests.live.session import load, run, said_well


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_a_server_is_refused(tmp_path: Path, target: subprocess.Popen[str], number: int) -> None:
    waitspy = denied("process_vm_readv", number=number)
    code, out, err = run(tmp_path, "record", target.pid, "-d", "1", "-o", "rec", waitspy=waitspy)
    assert (code, out) == (1, "")
    said_well(err, str(target.pid), "seccomp", "process_vm_readv")
    assert os.listdir(tmp_path) == []


def test_a_command_runs_all_the_same(tmp_path: Path) -> None:
    script = "import time; time.sleep(0.5); print('ran'); raise SystemExit(6)"
    args = ("record", "-o", "rec", "--", sys.executable, "-c", script)
    code, out, _ = run(tmp_path, *args, waitspy=denied("process_vm_readv"))
    assert code == 6
    assert out.startswith("ran\n")
    assert "no starvation seen" not in out
    assert "nothing was watched: no worker was attached" in out
    assert [loss for loss in load(tmp_path / "rec").losses if "process_vm_readv" in loss.why]
