"""The kernel has no files for namespaces (/proc/PID/ns), or does not show them.

A stall is found as ever. What needs them is told as not watched: what is owed to clients, and of the target's side the
accept queues as well.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.ourselves.handicapped import mounted, needs_mount
from tests.faults.ourselves.servers import (
    STALLING,
    is_told_to_sleep,
    loop,
    not_seen,
    recorded,
)  # fmt: skip

pytestmark = [pytest.mark.may_skip, needs_mount]


def test_its_own_are_missing(tmp_path: Path) -> None:
    with loop(*STALLING) as pid:
        report, out = recorded(tmp_path, pid, waitspy=mounted("mount -t tmpfs none /proc/$$/ns"))
    is_told_to_sleep(report)
    assert not_seen(report, "requests").startswith("sock_diag in its network namespace: ")
    they = "unread messages and what is owed to clients (oracles messages, requests)"
    assert f"{they}: sock_diag in its network namespace: " in out


def test_those_of_the_target_are_missing(tmp_path: Path) -> None:
    with loop(*STALLING) as pid:
        waitspy = mounted(f"mount -t tmpfs none /proc/{pid}/ns")
        report, out = recorded(tmp_path, pid, waitspy=waitspy)
    is_told_to_sleep(report)
    assert not_seen(report, "backlog") == "its network namespace is not known"
    names = "oracles backlog, datagrams, messages"
    they = f"accept queues, unread datagrams and unread messages ({names})"
    assert f"{they}: its network namespace is not known" in out
    assert not_seen(report, "requests") == "its listening sockets are not known"
