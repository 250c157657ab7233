"""Examines what this user may do here, by trying it: the machine, py-spy, a target.

Stacks are read as a recording would do it: by our own sampler, and by py-spy, which is needed for
processes that our own cannot read, and where a process is to be stopped for each sample.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from waitspy.errors import SamplerError, WaitspyError
from waitspy.kernel import procfs
from waitspy.model.processes import Worker
from waitspy.remote.memory import Unreadable
from waitspy.remote.opening import open_reader
from waitspy.samplers.pyspy_binary import find_pyspy
from waitspy.target import access, discover, interpreter
from waitspy.target.machine import Check, Status, examine_machine, safely
from waitspy.target.tree import FOREIGN

__all__ = ["Check", "Status", "examine"]

_VERSION_WITHIN_S, _DUMP_WITHIN_S = 10.0, 15.0
_TRIES, _AGAIN_S = 20, 0.01
_WITHOUT = "no --blocking, and no stacks of processes that waitspy cannot read by itself"


def examine(target: str | None = None) -> tuple[Check, ...]:
    """Every check of this machine and user, then those of the target if one is given.

    Takes well under a second, with a target up to some seconds. Never raises for what it finds.
    """
    about_target = _target(target) if target is not None else ()
    return (*examine_machine(), safely("py-spy", _pyspy), *about_target)


def _pyspy() -> Check:
    try:
        path = find_pyspy()
    except SamplerError as error:
        return Check("py-spy", "warn", f"{error}: {_WITHOUT}", error.hint)
    reinstall = f"reinstall it: {sys.executable} -m pip install --force-reinstall py-spy"
    try:
        code, out, err = _run([path, "--version"], _VERSION_WITHIN_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("py-spy", "warn", f"{path} does not run: {error}; {_WITHOUT}", reinstall)
    if code != 0:
        found = f"{path} fails: {_last_line(err)}; {_WITHOUT}"
        return Check("py-spy", "warn", found, reinstall)
    return Check("py-spy", "ok", f"{_last_line(out)} at {path}")


def _target(target: str) -> Iterator[Check]:
    try:
        tree = discover.open_tree(target)
    except WaitspyError as error:
        yield Check("target", "fail", str(error), error.hint)
        return
    workers = tree.workers
    known = [worker for worker in workers if worker.why_not not in FOREIGN]
    nodes = sum(worker.node is not None for worker in known)
    attachable = [worker for worker in known if worker.why_not is None]
    taken = f"taken as {tree.taken_as}; " if tree.taken_as else ""
    of_node = f"Node.js: {nodes}, " if nodes else ""
    found = (
        f"{taken}processes: {len(workers)}, Python: {len(known) - nodes}, {of_node}"
        f"attachable: {len(attachable)}"
    )
    status: Status = "ok" if len(attachable) == len(known) else "warn" if attachable else "fail"
    yield Check("target", status, found, None if status == "ok" else "see each process below")
    for worker in attachable:
        yield safely(f"pid {worker.pid}", partial(_worker, worker))
    refused: dict[tuple[str | None, str | None], list[Worker]] = {}
    for worker in known:
        if worker.why_not is not None:
            refused.setdefault((worker.why_not, worker.remedy), []).append(worker)
    for those in refused.values():
        yield _refused(those)
    python = [worker for worker in attachable if worker.python is not None]
    if python:
        serving = [worker for worker in python if worker.role == "worker"]
        yield from _stacks((serving or python)[0].pid)
    for worker in attachable:
        if worker.node is not None:
            found = "only with record --inspect, which opens its inspector and so writes to it"
            yield Check(f"pid {worker.pid} stacks", "ok", found)


def _worker(worker: Worker) -> Check:
    name, command = f"pid {worker.pid}", procfs.shown(worker.command)
    parts: list[str] = [worker.role]
    if worker.runtime is not None:
        name_of = "CPython" if worker.python else worker.runtime.name
        parts += [f"{name_of} {worker.runtime.version}", worker.framework or "no framework known"]
    try:
        parts += [_epolls(worker.pid), _network(worker.pid)]
    except PermissionError:
        grant = access.grant_here()
        return Check(name, "fail", f"{', '.join(parts)}: its descriptors are hidden", grant)
    except ProcessLookupError:
        return Check(name, "unknown", f"it has just ended ({command})")
    return Check(name, "ok", f"{', '.join(parts)} ({command})")


def _refused(workers: Sequence[Worker]) -> Check:
    """What keeps several processes from being attached, told once."""
    first = workers[0]
    name = f"pid{'s' if len(workers) > 1 else ''} {', '.join(str(one.pid) for one in workers)}"
    found = f"{first.role}: {first.why_not} ({procfs.shown(first.command)})"
    return Check(name, "fail", found, first.remedy)


def _epolls(pid: int) -> str:
    count = sum(link == "anon_inode:[eventpoll]" for link in procfs.fds(pid).values())
    return f"{count or 'no'} epoll descriptor{'' if count == 1 else 's'}"


def _network(pid: int) -> str:
    theirs, ours = procfs.namespace(pid, "net"), procfs.namespace(os.getpid(), "net")
    if theirs is None or ours is None:
        return "network namespace not known"
    return "waitspy's network namespace" if theirs == ours else "another network namespace"


def _stacks(pid: int) -> Iterator[Check]:
    """Reads the stacks of one process once by each sampler; one that can read them is enough."""
    own = safely(f"pid {pid} stacks", partial(_own_stacks, pid))
    others = _stacks_by_pyspy(pid)
    yield replace(own, status="warn") if own.status == "fail" and others.status == "ok" else own
    yield others if others.status == "ok" else replace(others, status="warn")


def _stacks_by_pyspy(pid: int) -> Check:
    """As ``record --nonblocking`` of py-spy would, without stopping it."""
    name = f"pid {pid} stacks by py-spy"
    try:
        # Without --json it prints the command, too, and fails where that is no UTF-8.
        dump = [find_pyspy(), "dump", "--json", "--nonblocking", "--pid", str(pid)]
        code, out, err = _run(dump, _DUMP_WITHIN_S)
    except SamplerError as error:
        return Check(name, "fail", str(error), error.hint)
    except subprocess.TimeoutExpired:
        return Check(
            name, "fail", f"py-spy gave none within {_DUMP_WITHIN_S:.0f} s", "try again when idle"
        )
    except OSError as error:
        return Check(name, "fail", f"py-spy does not run: {error}", "see the check of py-spy")
    threads = _count(out)
    if code == 0 and threads:
        return Check(name, "ok", f"py-spy read {threads} thread{'s' if threads > 1 else ''}")
    found = _last_line(err) or "py-spy saw no thread"
    hint = "try again; if it stays, see whether this py-spy supports that Python version"
    return Check(name, "fail", *(interpreter.out_of_reach(pid) or (found, hint)))


def _own_stacks(pid: int) -> Check:
    """As our own sampler would."""
    name = f"pid {pid} stacks"
    reader = open_reader(pid)
    if isinstance(reader, str):
        return Check(name, "fail", reader, "where py-spy can read them, it is used instead")
    found = ""
    for _ in range(_TRIES):  # a thread that runs may change at every moment
        try:
            states = [state for own in reader.python_threads().values() for state in own]
            whole = sum(is_whole for _, is_whole in reader.moving_stacks(states))
        except Unreadable:  # it is starting or ending
            time.sleep(_AGAIN_S)
            continue
        found = f"read {whole} of {len(states)} thread{'s' * (len(states) > 1)}"
        if whole:
            return Check(name, "ok", found)
        time.sleep(_AGAIN_S)
    if not found:
        return Check(name, "unknown", "its memory changed at every try", "try again")
    return Check(name, "fail", found, "try again; if it stays, use --sampler py-spy")


def _count(dump: str) -> int:
    """How many threads a dump has."""
    try:
        return len(json.loads(dump))
    except (ValueError, TypeError):
        return 0


def _run(argv: list[str], within_s: float) -> tuple[int, str, str]:
    """Exit code, output and errors of a helper program, as valid Unicode text."""
    # RUST_BACKTRACE would turn py-spy's one-line errors into stack traces
    environment = {key: value for key, value in os.environ.items() if key != "RUST_BACKTRACE"}
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=within_s,
        env=environment,
        check=False,
    )
    return done.returncode, procfs.text(done.stdout), procfs.text(done.stderr)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return procfs.shown(lines[-1]) if lines else ""
