"""Finds the processes that a target means: a PID, a port or a URL, a systemd unit, a container, or
a pattern of the command line.

``open_tree(target)`` gives the Tree of them, looked at once; call its ``scan()`` again for what
appeared and what is gone. ``find(target)`` gives just the workers. Both raise TargetError when
the target means nothing, too much, or neither Python nor Node.js, and PermissionMissing when this
user may not see enough to tell. A command that waitspy itself started is ``Tree([its pid])``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from waitspy.errors import PermissionMissing, TargetError
from waitspy.kernel import procfs
from waitspy.model.processes import Worker
from waitspy.target import access, cgroups, command_lines, servers, spelling
from waitspy.target.messages import LISTED, lines
from waitspy.target.spelling import HOW, Spelled
from waitspy.target.tree import FOREIGN, Tree

__all__ = ["Tree", "find", "open_tree", "require_attachable"]


def find(target: str) -> tuple[Worker, ...]:
    """The processes that ``target`` means, parents before children; at least one is Python or
    Node.js, or may not be looked into (its ``why_not`` says so).
    """
    return open_tree(target).workers


def open_tree(target: str) -> Tree:
    """The tree of the processes that ``target`` means, already looked at once."""
    if not os.path.exists(f"{procfs.PROC}/self/stat"):
        raise TargetError(
            f"there is no {procfs.PROC} here to find processes in",
            "run waitspy on Linux, beside the server, with /proc mounted",
        )
    meant = spelling.read(target)
    roots, taken_as = _roots(meant)
    tree = Tree(roots, taken_as)
    workers = tree.scan()
    if not workers:
        what = f"the processes of {procfs.shown(target)} have just ended"
        raise TargetError(what, "give it again")
    if all(worker.why_not in FOREIGN for worker in workers):
        raise _no_runtime(meant, workers)
    return tree


def _roots(meant: Spelled) -> tuple[tuple[int, ...], str | None]:
    """The topmost processes, and what the target was taken for where that is not obvious."""
    if meant.kind == "port":
        elsewhere = None if spelling.is_here(meant.text) else f"port {meant.number} of this machine"
        return servers.by_port(meant.number), elsewhere
    if meant.kind == "unit":
        return cgroups.by_unit(meant.text), None
    if meant.kind == "container":
        roots = cgroups.by_container(meant.text)
        return (roots, "a container's id") if roots else (_no_container(meant.text), None)
    if meant.kind == "pattern":
        return command_lines.by_pattern(meant.text), None
    return _by_number(meant)


def _no_container(id_: str) -> tuple[int, ...]:
    try:
        return command_lines.by_pattern(id_)
    except TargetError as error:
        what = f"{error}, and no container that can be seen here has that id"
        raise TargetError(what, error.hint) from None


def require_attachable(workers: Iterable[Worker]) -> None:
    """Returns when at least one worker can be attached.

    Raises PermissionMissing when one could be if this user had the right to, else TargetError;
    both name each process that is or may be one of these, and why it cannot be attached.
    """
    refused: dict[tuple[str, str | None], list[Worker]] = {}
    for worker in workers:
        if worker.why_not is None:
            return
        if worker.why_not not in FOREIGN:
            refused.setdefault((worker.why_not, worker.remedy), []).append(worker)
    if len(refused) == 1:
        ((why, remedy), those) = next(iter(refused.items()))
        what = f"no worker can be attached ({_pids(those)}): {why}"
        hint = remedy or HOW
    else:
        what = "no worker can be attached"
        hint = lines(
            "do what each of them needs",
            (f"{_pids(those)}: {why}; {remedy or HOW}" for (why, remedy), those in refused.items()),
        )
    if any(_denied(worker.pid) for those in refused.values() for worker in those):
        raise PermissionMissing(what, hint)
    raise TargetError(what, hint)


def _pids(workers: list[Worker]) -> str:
    """The pids, and what the first one runs."""
    more = f" and {len(workers) - LISTED} more" if len(workers) > LISTED else ""
    numbers = ", ".join(str(worker.pid) for worker in workers[:LISTED])
    plural = "s" if len(workers) > 1 else ""
    return f"pid{plural} {numbers}{more}, {procfs.shown(workers[0].command)}"


def _denied(pid: int) -> bool:
    try:
        return not access.may_attach(pid).ok
    except (ProcessLookupError, PermissionError):
        return False


def _by_number(meant: Spelled) -> tuple[tuple[int, ...], str | None]:
    """A process of that pid if there is one, else whoever listens on that port."""
    pid = meant.number
    listens = servers.listened_on(pid)
    try:
        root = _by_pid(meant.text, pid)
    except PermissionMissing:
        raise
    except TargetError:
        if not listens or pid == os.getpid():
            raise
        return servers.by_port(pid), f"port {pid}: no process has that pid"
    return (root,), f"pid {root}; the port is :{root}" if listens else None


def _by_pid(target: str, pid: int) -> int:
    if pid == os.getpid():
        raise TargetError(f"pid {pid} is waitspy itself", HOW)
    try:
        status = procfs.read_status(pid)
    except (ProcessLookupError, PermissionError):
        if pid and _exists(pid):
            raise PermissionMissing(
                f"pid {pid} exists, but /proc hides it from this user",
                access.grant_here() + "; or mount /proc without hidepid",
            ) from None
        what = f"no process has the pid {target[:20]}"
        if 0 < pid < 65536:
            what += ", and nobody listens on a port of that number"
        raise TargetError(what, servers.hint(HOW)) from None
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
    return True  # one of this user's own that is not dumpable


def _no_runtime(meant: Spelled, workers: tuple[Worker, ...]) -> TargetError:
    root = workers[0]
    where = f"on port {meant.number}, " if meant.kind == "port" else ""
    what = f"{where}pid {root.pid} ({procfs.shown(root.command)}) is {root.why_not}"
    if len(workers) > 1:
        what += f", nor is any of the {len(workers) - 1} below it"
    return TargetError(what, servers.hint(HOW))
