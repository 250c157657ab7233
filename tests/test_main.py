"""The program's first lines, before the command line is imported."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from waitspy.__main__ import main


@pytest.mark.parametrize("system", ["darwin", "win32", "freebsd14"])
def test_elsewhere_than_on_linux_it_says_so_and_ends(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(SystemExit) as ended:
        main()
    what, remedy = str(ended.value.code).splitlines()
    assert what.startswith("waitspy: ")
    assert system in what
    assert remedy == "  try: run it on Linux, beside the server"


TELLS = """
import atexit, os
from waitspy.__main__ import main

def tell():
    for tid in os.listdir("/proc/self/task"):
        for line in open(f"/proc/self/task/{tid}/status"):
            if line.startswith("SigBlk:"):
                print(line.split()[1])

atexit.register(tell)
main()
"""


def test_no_thread_of_a_library_takes_a_recording_s_signals() -> None:
    """numpy may start some; the kernel gives a signal to whoever does not block it."""
    argv = [sys.executable, "-c", TELLS, "--version"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split("\n")[1:-1]
    masks = [int(mask, 16) for mask in said]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        assert sum(not mask >> number - 1 & 1 for mask in masks) == 1, masks
