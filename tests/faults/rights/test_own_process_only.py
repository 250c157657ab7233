"""A user without any privileges records a process of their own.

It works as for root: stacks, kernel states and findings are there; the recording is private to that
user.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.rights.becoming import NOBODY, open_to_all, seeing, waitspy
from tests.live.running import ROOT
from tests.live.session import load, run
from waitspy.target.access import read_yama

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user"),
    pytest.mark.may_skip,
]
MINE = f"""import ctypes, os, sys, time
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as if it had been started by that user
print("ready", flush=True)
while True:
    time.sleep(0.1)
"""


def test_nobody_records_a_process_of_nobody(tmp_path: Path) -> None:
    if read_yama():
        pytest.skip("Yama lets users look at their own children only")
    open_to_all(tmp_path)
    mine = subprocess.Popen(
        [sys.executable, "-c", MINE], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert mine.stdout is not None
        mine.stdout.readline()
        code, out, err = run(
            tmp_path,
            "record",
            mine.pid,
            "-d",
            "0.8",
            "-o",
            "rec",
            waitspy=seeing(waitspy(uid=NOBODY)),
        )
    finally:
        mine.kill()
        mine.communicate()
    assert (code, err) == (0, ""), out
    (worker,) = load(tmp_path / "rec").workers
    assert worker.states
    for path in (tmp_path / "rec", *(tmp_path / "rec").rglob("*")):
        info = path.stat()
        assert (info.st_uid, info.st_mode & 0o077) == (NOBODY, 0), path
