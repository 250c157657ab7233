"""Finds the server behind a TCP port, and the Python and Node.js servers that listen here."""

from __future__ import annotations

import os
from collections.abc import Mapping

from waitspy.errors import PermissionMissing, TargetError
from waitspy.kernel import procfs
from waitspy.kernel.nettable import TcpRow
from waitspy.target import access, ports, roles, runtimes
from waitspy.target.kinship import lineage, topmost
from waitspy.target.messages import LISTED, lines
from waitspy.target.spelling import HOW

_SUPERVISORS = frozenset({"supervisord", "circusd", "honcho"})
"""Python programs that start unrelated services: having one parent there says nothing."""


def listened_on(port: int) -> bool:
    """Whether anybody listens on that port, in any network namespace that can be seen."""
    return 0 < port < 65536 and bool(ports.by_namespace([port]))


def by_port(port: int) -> tuple[int, ...]:
    """The topmost processes of the server that listens on that port; in this network namespace
    if it is a Python or Node.js server, else in the only other one.
    """
    rows = ports.by_namespace([port])
    if not rows:
        raise TargetError(f"nobody listens on TCP port {port}", hint(HOW))
    own = ports.namespace(os.getpid())
    elsewhere = [row for namespace, row in rows.items() if namespace != own]
    if own in rows:
        holders = _holders(port, rows[own][1])
        # What forwards a container's port holds one of that number here.
        elsewhere = [row for row in elsewhere if _known(_seen(row[1]))]
        if _known(holders) or not elsewhere:
            return _servers(holders)
    if len(elsewhere) > 1:
        raise TargetError(
            f"port {port} is listened on in {len(elsewhere)} other network namespaces",
            lines(
                "give a PID inside of the one that you mean", (f"pid {pid}" for pid, _ in elsewhere)
            ),
        )
    return _servers(_holders(port, elsewhere[0][1]))


def _holders(port: int, sockets: tuple[TcpRow, ...]) -> set[int]:
    """The processes that hold any of these sockets; at least one, else an error says why."""
    holders, hidden = ports.holders({row.inode for row in sockets})
    if not holders and not hidden:
        raise TargetError(
            f"port {port} is open, but no process that can be seen from here holds it",
            "run waitspy where the server's processes are visible, as on the host",
        )
    if not holders:
        raise PermissionMissing(
            f"somebody listens on port {port} (user id {sockets[0].uid}), but this user may not "
            f"see who: descriptors are hidden (of {hidden} processes)",
            access.grant_here(),
        )
    return holders


def _seen(sockets: tuple[TcpRow, ...]) -> set[int]:
    """The processes that hold any of these sockets, as far as they can be seen."""
    return ports.holders({row.inode for row in sockets})[0]


def _known(pids: set[int]) -> set[int]:
    return {pid for pid in pids if runtimes.is_known(pid)}


def _servers(holders: set[int]) -> tuple[int, ...]:
    """The topmost processes of those that serve a port; of Python and Node.js if there are any."""
    known = _known(holders)
    if not known and len(holders) > 1:
        holders = holders - {1}  # a service manager that keeps the socket for its service
    stats = procfs.stats()
    parents = {pid: stat.ppid for pid, stat in stats.items()}
    tops = topmost(known or holders, parents)
    if not known:
        return tops
    own = {os.getpid()} | lineage(os.getpid(), parents)
    return topmost({_master(pid, tops, stats, own) for pid in tops}, parents)


def _master(
    pid: int, tops: tuple[int, ...], stats: Mapping[int, procfs.Stat], own: set[int]
) -> int:
    """The highest ancestor that is of the same program: where each worker has a listener of its
    own, the master has none, and starts the next worker when one ends.

    What started waitspy is never meant.
    """
    while pid in stats and (above := stats[pid].ppid) in stats and above not in own:
        siblings = sum(stats[top].ppid == above for top in tops if top in stats)
        if not runtimes.is_known(above, unsure=False):
            break
        if not _one_program(stats[pid], stats[above], several=siblings > 1):
            break
        pid = above
    return pid


def _one_program(child: procfs.Stat, parent: procfs.Stat, *, several: bool) -> bool:
    """Whether a process serves for its parent: a fork of it, or started as multiprocessing or
    the same server; of ``several`` that share a port, the same interpreter is enough.
    """
    try:
        below, above = (
            roles.Member(one.pid, one.ppid, procfs.read_cmdline(one.pid), "python", image=one.image)
            for one in (child, parent)
        )  # fmt: skip
        if roles.same_program(below, above):
            return True
        if not several or roles.started(above.argv) in _SUPERVISORS:
            return False
        return procfs.link(child.pid, "exe") == procfs.link(parent.pid, "exe")
    except (ProcessLookupError, PermissionError):
        return False


def hint(otherwise: str) -> str:
    """The Python and Node.js servers that listen here, and on which ports."""
    sockets = [row for _, rows in ports.by_namespace().values() for row in rows]
    inodes = {row.inode: row.local_port for row in sockets}
    held_ports: dict[int, set[int]] = {}
    for pid in procfs.pids() - {os.getpid()}:
        try:
            held = procfs.sockets(pid)
            if held & inodes.keys() and runtimes.identify(pid) is not None:
                held_ports[pid] = {inodes[inode] for inode in held if inode in inodes}
        except (ProcessLookupError, PermissionError):
            continue
    parents = {pid: stat.ppid for pid, stat in procfs.stats().items()}
    listening = [
        ", ".join(f":{port}" for port in sorted(held_ports[pid])[:LISTED])
        + f" pid {pid} ({_line(pid)})"
        for pid in topmost(held_ports.keys() & parents.keys(), parents)
    ]
    if not listening:
        return f"no Python or Node.js server that this user can see listens on TCP; {otherwise}"
    return lines("one of the servers that listen here", listening)


def _line(pid: int) -> str:
    try:
        return procfs.shown(" ".join(procfs.read_cmdline(pid)))
    except (ProcessLookupError, PermissionError):
        return "it has just ended"
