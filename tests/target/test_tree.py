"""waitspy.target.tree: looks that fall into the moment in which a process calls exec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from waitspy.kernel import procfs
from waitspy.target import access, interpreter, tree
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

    def known(self) -> dict[int, procfs.Stat]:
        return {PID: self.stat, **self.children}

    def identify(self, pid: int) -> interpreter.Interpreter | None:
        del pid
        self.at_identify()
        # what is mapped while exec runs may be enough to be taken for Python
        return None if self.stat.image == SHELL.image else CPYTHON


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(SHELL)
    monkeypatch.setattr(procfs, "pids", lambda: set(made.known()))
    monkeypatch.setattr(
        procfs, "stats", lambda of: {pid: made.known()[pid] for pid in of if pid in made.known()}
    )
    monkeypatch.setattr(procfs, "read_stat", lambda pid: made.known()[pid])
    monkeypatch.setattr(procfs, "read_cmdline", lambda pid: (made.known()[pid].name,))
    monkeypatch.setattr(
        procfs, "children", lambda pid: tuple(s.pid for s in made.known().values() if s.ppid == pid)
    )
    monkeypatch.setattr(tree, "_last_pid", lambda: str(made.last_pid).encode())
    monkeypatch.setattr(tree, "_WALK_EVERY_S", 1e9)
    monkeypatch.setattr(interpreter, "identify", made.identify)
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
