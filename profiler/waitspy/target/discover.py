"""Finds the processes that a target means: a PID, ``:PORT`` or a pattern of the command line.

``open_tree(target)`` gives the Tree of them, looked at once; call its ``scan()`` again for what
appeared and what is gone. ``find(target)`` gives just the workers. Both raise TargetError when
the target means nothing, too much, or nothing Python, and PermissionMissing when this user may
not see enough to tell. A command that waitspy itself started is ``Tree([its pid])``.
"""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from waitspy.errors import PermissionMissing, TargetError
from waitspy.kernel import procfs
from waitspy.kernel.nettable import TcpRow
from waitspy.model.processes import Worker
from waitspy.target import access, interpreter, ports, roles
from waitspy.target.tree import FOREIGN, Tree

__all__ = ["Tree", "find", "open_tree", "require_attachable"]

_LISTED = 6
"""How many processes an error lists."""

_HOW = "give the PID of the Python server, :PORT, or a part of its command line"

_REAPERS = frozenset({"systemd", "init"})
"""Names of processes that adopt or start unrelated services: being their child says nothing."""


def find(target: str) -> tuple[Worker, ...]:
    """The processes that ``target`` means, parents before children; at least one is Python, or
    may not be looked into (its ``why_not`` says so).
    """
    return open_tree(target).workers


def open_tree(target: str) -> Tree:
    """The tree of the processes that ``target`` means, already looked at once."""
    if not os.path.exists(f"{procfs.PROC}/self/stat"):
        raise TargetError(
            f"there is no {procfs.PROC} here to find processes in",
            "run waitspy on Linux, beside the server, with /proc mounted",
        )
    target = target.strip()
    if target.startswith(":"):
        roots = _by_port(target)
    elif target.isascii() and target.isdigit():
        roots = (_by_pid(target),)
    elif target:
        roots = _by_pattern(target)
    else:
        raise TargetError("the target is empty", _HOW)
    tree = Tree(roots)
    workers = tree.scan()
    if not workers:
        raise TargetError(f"the processes of {procfs.shown(target)} have just ended", "try again")
    if all(worker.why_not in FOREIGN for worker in workers):
        raise _no_python(target, workers)
    return tree


def require_attachable(workers: Iterable[Worker]) -> None:
    """Returns when at least one worker can be attached.

    Raises PermissionMissing when one could be if this user had the right to, else TargetError;
    both name each process that is or may be Python, and why it cannot be attached.
    """
    refused = []
    for worker in workers:
        if worker.why_not is None:
            return
        if worker.why_not not in FOREIGN:
            refused.append(worker)
    what = "no worker can be attached" + "".join(
        f"; pid {worker.pid} ({procfs.shown(worker.command)}): {worker.why_not}"
        for worker in refused[:_LISTED]
    )
    hint = "; ".join(dict.fromkeys(worker.remedy for worker in refused if worker.remedy)) or _HOW
    if any(_denied(worker.pid) for worker in refused):
        raise PermissionMissing(what, hint)
    raise TargetError(what, hint)


def _denied(pid: int) -> bool:
    try:
        return not access.may_attach(pid).ok
    except (ProcessLookupError, PermissionError):
        return False


# --- a pid -----------------------------------------------------------------------------------


def _by_pid(target: str) -> int:
    # pid_max is at most 2**22; longer numbers are not worth converting
    pid = int(target) if len(target) <= 9 else 0
    if pid == os.getpid():
        raise TargetError(f"pid {pid} is waitspy itself", _HOW)
    try:
        status = procfs.read_status(pid)
    except (ProcessLookupError, PermissionError):
        if pid and _exists(pid):
            raise PermissionMissing(
                f"pid {pid} exists, but /proc hides it from this user",
                access.grant(contained=access.contained()) + "; or mount /proc without hidepid",
            ) from None
        raise TargetError(f"no process has the pid {target[:20]}", _HOW) from None
    if status.tgid != pid:
        raise TargetError(
            f"{pid} is a thread of process {status.tgid}", f"give that process: {status.tgid}"
        )
    return pid


def _exists(pid: int) -> bool:
    """Whether there is such a process although /proc does not show it. Sends it nothing."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return os.path.exists(f"{procfs.PROC}/{pid}")


def _no_python(target: str, workers: tuple[Worker, ...]) -> TargetError:
    root = workers[0]
    where = f"on port {target[1:]}, " if target.startswith(":") else ""
    what = f"{where}pid {root.pid} ({procfs.shown(root.command)}) is {root.why_not}"
    if len(workers) > 1:
        what += f", nor is any of the {len(workers) - 1} below it"
    return TargetError(what, _hint_servers(_HOW))


# --- a port ----------------------------------------------------------------------------------


def _by_port(target: str) -> tuple[int, ...]:
    digits = target[1:]
    port = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else 0
    if not 0 < port < 65536:
        raise TargetError(f"{procfs.shown(target)} is no port", "give :1 to :65535, as in :8000")
    rows = ports.by_namespace([port])
    if not rows:
        raise TargetError(f"nobody listens on TCP port {port}", _hint_servers(_HOW))
    own = ports.namespace(os.getpid())
    elsewhere = [row for namespace, row in rows.items() if namespace != own]
    if own in rows:
        holders = _holders(port, rows[own][1])
        # What forwards a container's port holds one of that number here.
        elsewhere = [row for row in elsewhere if _python(_seen(row[1]))]
        if _python(holders) or not elsewhere:
            return _servers(holders)
    if len(elsewhere) > 1:
        among = ", ".join(f"pid {pid}" for pid, _ in elsewhere[:_LISTED])
        raise TargetError(
            f"port {port} is listened on in {len(elsewhere)} other network namespaces",
            f"give a PID inside of the one that you mean, as {among}",
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
            access.grant(contained=access.contained()),
        )
    return holders


def _seen(sockets: tuple[TcpRow, ...]) -> set[int]:
    """The processes that hold any of these sockets, as far as they can be seen."""
    return ports.holders({row.inode for row in sockets})[0]


def _python(pids: set[int]) -> set[int]:
    return {pid for pid in pids if _runs_python(pid)}


def _servers(holders: set[int]) -> tuple[int, ...]:
    """The topmost processes of those that serve a port; Python's if there are any."""
    python = _python(holders)
    if not python and len(holders) > 1:
        holders = holders - {1}  # a service manager that keeps the socket for its service
    return _topmost(python or holders, {pid: s.ppid for pid, s in procfs.stats().items()})


# --- a pattern -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Command:
    pid: int
    ppid: int
    name: str
    argv: tuple[str, ...]

    @property
    def line(self) -> str:
        return " ".join(self.argv)


def _by_pattern(target: str) -> tuple[int, ...]:
    """The topmost Python processes whose command line matches; if none does, the topmost
    matching ones of any kind (a shell, make) that have Python below them.

    Case is ignored. The pattern matches as a plain part of the command line, and also as a
    regular expression if it is one. waitspy, what started it and its py-spy never match.
    """
    table = _commands()
    parents = {pid: command.ppid for pid, command in table.items()}
    own = _own(table)
    candidates = {pid: command for pid, command in table.items() if pid not in own}
    matches = _matcher(target)
    matching = {pid for pid, command in candidates.items() if matches(command.line)}
    if not matching:
        raise TargetError(
            f"no command line matches {procfs.shown(target)!r}",
            _near_misses(target, candidates.values()),
        )
    tops = _topmost(matching, parents)
    roots = _topmost({pid for pid in matching if _runs_python(pid, unsure=False)}, parents) or (
        tuple(pid for pid in tops if _python_at_or_below(pid, parents))
    )
    if not roots:
        raise TargetError(
            f"{procfs.shown(target)!r} matches nothing that runs Python, "
            f"only {_listed(table[pid] for pid in tops)}",
            _hint_servers(_HOW),
        )
    if len(roots) > 1 and not _one_service([table[pid] for pid in roots], table):
        raise TargetError(
            f"{procfs.shown(target)!r} matches {len(roots)} servers: "
            f"{_listed(table[pid] for pid in roots)}",
            "give the PID of the one that you mean",
        )
    return roots


def _commands() -> dict[int, _Command]:
    """Every process with a command line."""
    found = {}
    for pid, stat in procfs.stats().items():
        try:
            argv = procfs.read_cmdline(pid)
        except (ProcessLookupError, PermissionError):
            continue
        found[pid] = _Command(pid, stat.ppid, stat.name, argv)
    return found


def _matcher(pattern: str) -> Callable[[str], bool]:
    plain = pattern.casefold()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the user's pattern: it may be no expression
            expression = re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError):
        return lambda line: bool(line) and plain in line.casefold()
    return lambda line: (
        bool(line) and (plain in line.casefold() or expression.search(line) is not None)
    )


def _own(table: Mapping[int, _Command]) -> set[int]:
    """This process, what started it, every other waitspy, and the py-spy of all of them."""
    own = os.getpid()
    parents = {pid: command.ppid for pid, command in table.items()}
    tools = {pid for pid, command in table.items() if _is_waitspy(command.argv)} | {own}
    spies = {
        pid for pid, command in table.items() if command.name == "py-spy" and command.ppid in tools
    }
    return tools | spies | _lineage(own, parents)


def _is_waitspy(argv: tuple[str, ...]) -> bool:
    return roles.started(argv) == "waitspy"


def _lineage(pid: int, parents: Mapping[int, int]) -> set[int]:
    """The ancestors of a process."""
    found: set[int] = set()
    while (pid := parents.get(pid, 0)) and pid not in found:
        found.add(pid)
    return found


def _topmost(pids: set[int], parents: Mapping[int, int]) -> tuple[int, ...]:
    """Those without an ancestor among them, in ascending order."""
    return tuple(sorted(pid for pid in pids if not _lineage(pid, parents) & pids - {pid}))


def _runs_python(pid: int, *, unsure: bool = True) -> bool:
    """Whether it runs Python of any kind; ``unsure`` when this user may not see what it runs."""
    try:
        return interpreter.identify(pid) is not None
    except PermissionError:
        stat = procfs.stats([pid]).get(pid)
        return unsure and stat is not None and not stat.kernel_thread
    except ProcessLookupError:
        return False


def _python_at_or_below(top: int, parents: Mapping[int, int]) -> bool:
    children: dict[int, list[int]] = {}
    for pid, ppid in parents.items():
        children.setdefault(ppid, []).append(pid)
    waiting, seen = [top], {top}
    while waiting:
        pid = waiting.pop()
        if _runs_python(pid):
            return True
        below = [child for child in children.get(pid, ()) if child not in seen]
        seen.update(below)
        waiting += below
    return False


def _one_service(roots: list[_Command], table: Mapping[int, _Command]) -> bool:
    """Whether several roots belong together: they have one parent, and where that is only what
    starts every service of the machine, command lines that differ in numbers alone.
    """
    if len({command.ppid for command in roots}) > 1:
        return False
    parent = table.get(roots[0].ppid)
    if parent is None or parent.pid == 1 or parent.name in _REAPERS:
        return len({re.sub(r"\d+", "0", command.line) for command in roots}) == 1
    return True


# --- hints -----------------------------------------------------------------------------------


def _listed(commands: Iterable[_Command]) -> str:
    known = list(commands)
    listed = "; ".join(
        f"pid {command.pid} ({procfs.shown(command.line or command.name)})"
        for command in known[:_LISTED]
    )
    return listed + (f" and {len(known) - _LISTED} more" if len(known) > _LISTED else "")


def _hint_servers(otherwise: str) -> str:
    """The Python servers that listen here, and on which ports."""
    sockets = [row for _, rows in ports.by_namespace().values() for row in rows]
    inodes = {row.inode: row.local_port for row in sockets}
    held_ports: dict[int, set[int]] = {}
    for pid in procfs.pids() - {os.getpid()}:
        try:
            held = {procfs.parse_socket(link) for link in procfs.fds(pid).values()}
            if held & inodes.keys() and interpreter.identify(pid) is not None:
                held_ports[pid] = {inodes[inode] for inode in held if inode in inodes}
        except (ProcessLookupError, PermissionError):
            continue
    table = _commands()
    tops = _topmost(held_ports.keys() & table.keys(), {p: c.ppid for p, c in table.items()})
    servers = [
        ", ".join(f":{port}" for port in sorted(held_ports[pid])[:_LISTED])
        + f" pid {pid} ({procfs.shown(table[pid].line)})"
        for pid in tops
    ]
    if not servers:
        return f"no Python server that this user can see listens on TCP; {otherwise}"
    more = f" and {len(servers) - _LISTED} more" if len(servers) > _LISTED else ""
    return "Python servers that listen here: " + "; ".join(servers[:_LISTED]) + more


def _near_misses(pattern: str, commands: Iterable[_Command]) -> str:
    """The Python processes whose command lines are most like the pattern."""
    wanted = pattern.casefold()

    def likeness(command: _Command) -> float:
        words = re.split(r"[^\w.]+", command.line.casefold())
        return max(difflib.SequenceMatcher(None, wanted, word).ratio() for word in words)

    python = [c for c in commands if c.argv and _runs_python(c.pid)]
    if not python:
        return f"no Python process can be seen here; {_HOW}"
    nearest = sorted(python, key=lambda command: (-likeness(command), command.pid))
    return f"Python processes here: {_listed(nearest)}"
