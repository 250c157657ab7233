"""The server has changed its user, may gain no new privileges, or asked not to be looked into.

Root records it as any other one; its own user is refused in one clear error that says why.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.faults.rights.becoming import NOBODY, open_to_all, seeing
from tests.live.session import AS_NOBODY, load, no_spy_is_left, run, said_well
from tests.live.started import started

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")

FORMS = {
    "changed its user": f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})",
    "asked for it": f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY}); prctl(4, 0, 0, 0, 0)",
    "no new privileges": f"prctl(38, 1, 0, 0, 0); os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})",
}
SCRIPT = """import ctypes, os, time
prctl = ctypes.CDLL(None).prctl
{}
print("ready", flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_root_records_it_and_its_user_may_not(tmp_path: Path, form: str) -> None:
    open_to_all(tmp_path)
    with started([sys.executable, "-c", SCRIPT.format(form)]) as (process, _):
        code, out, err = run(tmp_path, "record", process.pid, "-d", "0.6", "-o", "rec")
        assert (code, err) == (0, ""), out
        recording = load(tmp_path / "rec")
        assert recording.losses == ()
        assert recording.workers[0].segments
        code, out, err = run(
            tmp_path, "record", process.pid, "-d", "0.6", "-o", "other", waitspy=seeing(AS_NOBODY)
        )
        assert (code, out) == (1, "")
        said_well(err, "not dumpable", "CAP_SYS_PTRACE")
        assert not (tmp_path / "other").exists()
        no_spy_is_left(process.pid)
        assert process.poll() is None
