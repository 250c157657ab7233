"""waitspy.target.tree: processes that appear, change, and end between two looks."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

import pytest

from tests.live.started import started, tell, wait_for
from waitspy.errors import TargetError
from waitspy.kernel import procfs
from waitspy.model.processes import Worker
from waitspy.target import discover
from waitspy.target.tree import NO_RUNTIME, ZOMBIE, Tree

pytestmark = pytest.mark.ptrace

WITHIN_S = 20

OBEYS = """
import os, subprocess, sys, time
children = []
print('ready', flush=True)
for line in sys.stdin:
    order, _, rest = line.strip().partition(' ')
    if order == 'spawn':
        children.append(subprocess.Popen(rest.split(), stdin=subprocess.PIPE))
        print('spawned', children[-1].pid, flush=True)
    elif order == 'fork':
        pid = os.fork()
        if not pid:
            time.sleep(600)
            os._exit(0)
        print('forked', pid, flush=True)
    elif order == 'kill':
        os.kill(int(rest), 9)
        print('killed', flush=True)
    elif order == 'reap':
        os.waitpid(int(rest), 0)
        print('reaped', flush=True)
    elif order == 'orphan':
        reader, writer = os.pipe()
        if not os.fork():
            child = os.fork()
            if child:
                os.write(writer, str(child).encode())
                time.sleep(600)
                os._exit(0)
            time.sleep(600)
            os._exit(0)
        print('orphan', os.read(reader, 20).decode(), flush=True)
    elif order == 'exec':
        os.execv(sys.executable, [sys.executable, '-c', 'import sys; print("again"); sys.stdin.read()'])
"""


def pids(workers: tuple[Worker, ...]) -> set[int]:
    return {worker.pid for worker in workers}


def until(tree: Tree, true: Callable[[tuple[Worker, ...]], bool]) -> tuple[Worker, ...]:
    """Looks again and again until the tree is as it should be."""
    end_s = time.monotonic() + WITHIN_S
    while time.monotonic() < end_s:
        workers = tree.scan()
        if true(workers):
            return workers
    raise AssertionError(f"never so: {tree.workers}")


def test_nothing_changes_while_nothing_happens() -> None:
    with started([sys.executable, "-c", OBEYS]) as (process, _):
        tree = Tree([process.pid])
        first = tree.scan()
        assert pids(first) == {process.pid}
        assert tree.workers == first
        assert tree.scan() == first
        assert tree.executed == frozenset()


def test_children_appear_and_are_gone() -> None:
    with started([sys.executable, "-c", OBEYS]) as (process, _):
        tree = Tree([process.pid])
        tree.scan()
        tell(process, "spawn sleep 600")
        child = int(wait_for(process, "spawned").split()[1])
        _, sleep = until(tree, lambda workers: len(workers) == 2)
        assert (sleep.pid, sleep.ppid, sleep.why_not) == (child, process.pid, NO_RUNTIME)
        tell(process, f"kill {child}")
        wait_for(process, "killed")
        until(tree, lambda workers: pids(workers) == {process.pid})
        tree._walk_at_s = 0.0  # a full walk meets the zombie again
        assert pids(tree.scan()) == {process.pid}
        tell(process, f"reap {child}")
        wait_for(process, "reaped")
        assert pids(tree.scan()) == {process.pid}


def test_a_fork_appears_as_a_worker_and_makes_its_parent_a_master() -> None:
    with started([sys.executable, "-c", OBEYS]) as (process, _):
        tree = Tree([process.pid])
        assert [worker.role for worker in tree.scan()] == ["worker"]
        tree._walk_at_s = float("inf")  # without the help of a full walk
        tell(process, "fork")
        child = int(wait_for(process, "forked").split()[1])
        master, worker = until(tree, lambda workers: len(workers) == 2)
        assert (master.pid, master.role) == (process.pid, "master")
        assert (worker.pid, worker.role, worker.why_not) == (child, "worker", None)
        assert worker.command == master.command


def test_grandchildren_are_found_and_stay_when_their_parent_ends() -> None:
    with started([sys.executable, "-c", OBEYS]) as (process, _):
        tree = Tree([process.pid])
        tree.scan()
        tell(process, "orphan")
        orphan = int(wait_for(process, "orphan").split()[1])
        middle = procfs.read_stat(orphan).ppid
        assert middle != process.pid
        try:
            until(tree, lambda workers: {orphan, middle} <= pids(workers))
            os.kill(middle, signal.SIGKILL)
            workers = until(tree, lambda workers: middle not in pids(workers))
            assert orphan in pids(workers)
        finally:
            os.kill(orphan, signal.SIGKILL)


def test_exec_keeps_the_process_but_is_told() -> None:
    with started([sys.executable, "-c", OBEYS]) as (process, _):
        tree = Tree([process.pid])
        (before,) = tree.scan()
        tell(process, "exec")
        wait_for(process, "again")
        (after,) = tree.scan()
        assert tree.executed == {process.pid}
        assert (after.pid, after.start_ticks) == (before.pid, before.start_ticks)
        assert after.command != before.command
        assert after.python == before.python
        tree.scan()
        assert tree.executed == frozenset()


def test_a_shell_that_becomes_python() -> None:
    script = 'echo ready; read x; exec "$0" -c "print(\'python\'); input()"'
    with started(["sh", "-c", script, sys.executable]) as (process, _):
        tree = Tree([process.pid])
        (shell,) = tree.scan()
        assert (shell.python, shell.why_not) == (None, NO_RUNTIME)
        tell(process, "go")
        wait_for(process, "python")
        (server,) = tree.scan()
        assert server.why_not is None
        assert server.python is not None
        assert tree.executed == {process.pid}
        assert server.start_ticks == shell.start_ticks


def test_a_python_that_maps_its_library_late_is_looked_at_again() -> None:
    with started([sys.executable, "-c", OBEYS]) as (process, _):
        tree = Tree([process.pid])
        tree.scan()
        entry = tree._entries[process.pid]
        entry.runs, entry.why_not = None, NO_RUNTIME  # as it was before the loader had run
        (worker,) = until(tree, lambda workers: workers[0].why_not is None)
        assert worker.python is not None


def test_the_end_of_everything_and_zombies() -> None:
    with started([sys.executable, "-c", OBEYS]) as (process, _):
        tree = Tree([process.pid])
        tree.scan()
        process.kill()
        assert until(tree, lambda workers: not workers) == ()
        assert procfs.read_stat(process.pid).zombie
        (zombie,) = Tree([process.pid]).scan()
        assert (zombie.why_not, zombie.role, zombie.python) == (ZOMBIE, "helper", None)
        with pytest.raises(TargetError, match="is a zombie"):
            discover.find(str(process.pid))
        assert tree.scan() == ()
        process.wait()
        assert Tree([process.pid]).scan() == ()


def test_waitspy_is_not_in_its_own_recording() -> None:
    with started([sys.executable, "-c", OBEYS]) as (process, _):
        tree = Tree([os.getppid()])
        found = pids(tree.scan()) | pids(tree.scan())
        assert os.getppid() in found
        assert not found & {os.getpid(), process.pid}
