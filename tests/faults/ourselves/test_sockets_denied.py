"""The kernel denies sock_diag(7), a netlink socket, with which waitspy asks about connections.

It says that what is owed to clients is not known, and why. Stalls of a loop are found, and so are connections
that wait to be accepted, from the kernel's tables.
"""

from __future__ import annotations

import socket
from pathlib import Path

from tests.faults.ourselves.handicapped import denied
from tests.faults.ourselves.servers import (
    STALLING,
    by_itself,
    is_told_to_sleep,
    listener,
    loop,
    not_seen,
    recorded,
)  # fmt: skip

WAITSPY = denied(("socket", socket.AF_NETLINK))
WHY = "sock_diag in its network namespace: Operation not permitted"
THEY = "unread messages and what is owed to clients (oracles messages, requests)"


def test_a_stall_is_found(tmp_path: Path) -> None:
    with loop(*STALLING) as pid:
        report, out = recorded(tmp_path, pid, waitspy=WAITSPY)
    is_told_to_sleep(report)
    assert not_seen(report, "requests") == WHY
    assert f"{THEY}: {WHY}" in out


def test_connections_that_nobody_accepts_are_found(tmp_path: Path) -> None:
    with listener(60) as pid:
        report, out = recorded(tmp_path, pid, waitspy=WAITSPY)
    (finding,) = by_itself(report)
    assert (finding.kind.name, finding.verdict) == ("accept-backlog", "starving")
    assert f"{THEY}: {WHY}" in out
