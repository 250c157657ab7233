"""A server gave up root and is not dumpable any more: its files in /proc belong to root, although it does not.

Root sees it like any other. Its own user is told in one line why not, and what would help.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.faults.target.served import blocks, lost, recorded, served, untouched, watched
from tests.live.session import AS_NOBODY, run, said_well

GIVES_UP_ROOT = """
import asyncio, json, os, queue, re, selectors, signal, socket, subprocess, sys, threading
del sys.argv[0]
with open(sys.argv[0]) as file:  # nobody may not read what is root's
    code = compile(file.read(), sys.argv[0], "exec")
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
exec(code)
"""
BY = (sys.executable, "-c", GIVES_UP_ROOT)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


def test_root_sees_what_starves_in_it(tmp_path: Path) -> None:
    with served(by=BY) as server:
        assert os.stat(f"/proc/{server.pid}/stat").st_uid == 0
        told = recorded(tmp_path, server.pid)
        untouched(server.pid)
    blocks(tmp_path, told, server.pid)
    watched(told, server.pid)
    assert lost(told) == []


@pytest.mark.parametrize(
    ("hidepid", "why"),
    [("0", "it is not dumpable"), ("2", "/proc hides it from this user")],
    ids=["shown", "hidden"],
)
def test_its_own_user_is_told_why_not(tmp_path: Path, hidepid: str, why: str) -> None:
    tmp_path.chmod(0o777)
    mounted = f'mount -t proc -o hidepid={hidepid} proc /proc && exec "$0" "$@"'
    by = ("unshare", "--mount", "sh", "-c", mounted, *AS_NOBODY)
    with served(by=BY) as server:
        code, out, err = run(tmp_path, "record", server.pid, "-d", "1", waitspy=by)
        untouched(server.pid)
    assert (code, out) == (1, "")
    said_well(err, f"pid {server.pid}", why, "CAP_SYS_PTRACE")
    assert not list(tmp_path.iterdir())
