"""waitspy.target.tree: looks that fall into the moment in which a process calls exec."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from waitspy.kernel import procfs
from waitspy.target import access, interpreter, runtimes, tree
from waitspy.target.tree import STARTING, Tree

PID = 4242
SHELL = procfs.Stat(PID, "sh", "S", 1, False, 1, 77, (0x1000, 0x9000))
LOADING = replace(SHELL, image=None, in_exec=True)
PYTHON = replace(SHELL, name="python", image=(0x5000, 0x8000))
CPYTHON = interpreter.Interpreter("CPython", "3.11.7", "/usr/bin/python3.11")


class Machine:
    """One process whose program changes, and its children; ``at_identify`` is called while one
    is examined."""

    def __init__(self, stat: procfs.Stat) -> None:
        self.stat = stat
        self.at_identify: Callable[[], None] = lambda: None
        self.children: dict[int, procfs.Stat] = {}
        self.last_pid = PID
        self.asleep: set[int] = set()
        self.asked: list[set[int]] = []
        self._ns = itertools.count(1)

    def known(self) -> dict[int, procfs.Stat]:
        return {PID: self.stat, **self.children}

    def stats(self, of: Iterable[int]) -> dict[int, procfs.Stat]:
        self.asked.append(set(of))
        return {pid: self.known()[pid] for pid in self.asked[-1] if pid in self.known()}

    def cpu_ns(self, pid: int) -> int:
        return 0 if pid in self.asleep else next(self._ns)

    def identify(self, pid: int) -> interpreter.Interpreter | None:
        del pid
        self.at_identify()
        # what is mapped while exec runs may be enough to be taken for Python
        return None if self.stat.image == SHELL.image else CPYTHON


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(SHELL)
    monkeypatch.setattr(procfs, "pids", lambda: set(made.known()))
    monkeypatch.setattr(procfs, "stats", made.stats)
    monkeypatch.setattr(tree, "_cpu_ns", made.cpu_ns)
    monkeypatch.setattr(procfs, "read_stat", lambda pid: made.known()[pid])
    monkeypatch.setattr(procfs, "read_cmdline", lambda pid: (made.known()[pid].name,))
    monkeypatch.setattr(
        procfs, "children", lambda pid: tuple(s.pid for s in made.known().values() if s.ppid == pid)
    )
    monkeypatch.setattr(tree, "_last_pid", lambda: str(made.last_pid).encode())
    monkeypatch.setattr(tree, "_WALK_EVERY_S", 1e9)
    monkeypatch.setattr(runtimes, "identify", made.identify)
    monkeypatch.setattr(access, "may_attach", lambda pid: access.Access(True))
    return made


def test_a_look_into_the_middle_of_exec_says_nothing_new(machine: Machine) -> None:
    watched = Tree([PID])
    (before,) = watched.scan()
    machine.stat = LOADING
    assert watched.scan() == (before,)
    assert watched.executed == frozenset()
    machine.stat = PYTHON
    (after,) = watched.scan()
    assert (after.python, after.why_not) == ("3.11.7", None)
    assert watched.executed == {PID}
    watched.scan()
    assert watched.executed == frozenset()


def test_a_first_look_into_the_middle_of_exec_is_repeated_at_the_next(machine: Machine) -> None:
    machine.stat = LOADING
    watched = Tree([PID])
    assert [worker.why_not for worker in watched.scan()] == [STARTING]
    machine.stat = PYTHON
    assert [worker.why_not for worker in watched.scan()] == [None]
    assert watched.executed == frozenset()


@pytest.mark.parametrize("first", [SHELL, LOADING])
def test_exec_during_a_look_does_not_make_two_programs_one(
    machine: Machine, first: procfs.Stat
) -> None:
    """The stat is of the old program, what is mapped of the new one: looked at once more."""
    watched = Tree([PID])

    def execute() -> None:
        machine.stat = PYTHON
        machine.at_identify = lambda: None

    if first is LOADING:
        watched.scan()
        machine.stat = replace(SHELL, image=(0x1001, 0x9001))
    machine.at_identify = execute
    assert not [worker for worker in watched.scan() if worker.python]
    (worker,) = watched.scan()
    assert worker.python == "3.11.7"


@pytest.mark.parametrize("last_pid", [301, 4300])
@pytest.mark.parametrize("was_known", [True, False])
def test_a_number_that_is_given_again_is_another_process(
    machine: Machine, last_pid: int, *, was_known: bool
) -> None:
    """Its first owner ended and the numbers went once round between two looks, or nearly."""
    machine.stat = replace(PYTHON)
    first = procfs.Stat(4299, "python", "S", PID if was_known else 1, False, 1, 80, (1, 2))
    machine.children = {4299: first}
    watched = Tree([PID])
    assert len(watched.scan()) == (2 if was_known else 1)
    machine.children = {4299: replace(first, ppid=PID, start_ticks=99)}
    machine.last_pid = last_pid
    assert [worker.start_ticks for worker in watched.scan()] == [77, 99]


def test_who_has_not_run_is_not_read_again(machine: Machine) -> None:
    machine.stat = replace(PYTHON)
    machine.children = {n: replace(PYTHON, pid=n, ppid=PID, start_ticks=n) for n in (4300, 4301)}
    machine.asleep = {PID, 4300}
    watched = Tree([PID])
    everyone = watched.scan()
    watched.scan()  # from here on it is known what each has run
    machine.asked.clear()
    assert watched.scan() == everyone
    assert set().union(*machine.asked) == {4301}
    machine.asleep = {4301}
    machine.children[4300] = replace(machine.children[4300], threads=7)
    assert [worker.threads for worker in watched.scan()] == [1, 7, 1]


def test_who_has_another_parent_by_now_is_known_though_it_did_not_run(machine: Machine) -> None:
    machine.stat = replace(PYTHON)
    between = replace(PYTHON, pid=4300, ppid=PID, start_ticks=80)
    below = replace(PYTHON, pid=4301, ppid=4300, start_ticks=81)
    machine.children = {4300: between, 4301: below}
    machine.asleep = {4301}
    watched = Tree([PID])
    assert [worker.ppid for worker in watched.scan()] == [1, PID, 4300]
    watched.scan()
    machine.children = {4301: replace(below, ppid=PID)}
    assert [(worker.pid, worker.ppid) for worker in watched.scan()] == [(PID, 1), (4301, PID)]


def test_that_its_main_thread_has_ended_is_told_though_the_others_sleep(machine: Machine) -> None:
    machine.stat = replace(PYTHON, threads=2)
    watched = Tree([PID])
    watched.scan()
    machine.stat = replace(PYTHON, state="Z", threads=2)
    watched.scan()
    machine.asleep = {PID}
    for _ in range(3):
        (worker,) = watched.scan()
    assert worker.why_not == tree.HEADLESS
