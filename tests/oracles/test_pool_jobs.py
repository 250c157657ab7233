"""When it is proven that no process of a pool has what somebody waits for."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from tests.examples.build import process
from waitspy.kernel import pipe_fds, procfs
from waitspy.model import syscalls
from waitspy.oracles import Watched, pool_jobs
from waitspy.remote.memory import Torn
from waitspy.remote.pool_jobs import PoolJob, PoolTask, PoolWork
from waitspy.remote.reader import Reader

READ, FUTEX = (
    next(n for n, call in syscalls.TABLES[platform.machine()].items() if call == name)
    for name in ("read", "futex")
)
OWNER, WAITER, GIVES, TAKES = 100, 100, 101, 102
TASKS, RESULTS = 3, 5  # descriptors of the owner; its processes have the first one as 4
JOB = PoolJob(7, (), (201, 202), 2, GIVES, TAKES, TASKS, RESULTS, on_its_way=False, open=True)
READS, TURNS = PoolWork(None, "_recv"), PoolWork(None, "__enter__")
OTHER, MINE = PoolWork(PoolTask(6, 0), "slow"), PoolWork(PoolTask(7, 1), "slow")


@dataclass
class World:
    """Process 201 reads from the pipe of tasks, 202 waits for its turn, nothing is under way."""

    job: PoolJob = JOB
    does: dict[int, PoolWork] = field(default_factory=lambda: {201: READS, 202: TURNS})
    blocked: dict[int, tuple[int, int]] = field(
        default_factory=lambda: {
            WAITER: (FUTEX, 1), GIVES: (FUTEX, 2), TAKES: (READ, RESULTS),
            201: (READ, 4), 202: (FUTEX, 3),
        }
    )  # fmt: skip
    pipes: dict[tuple[int, int], int | None] = field(
        default_factory=lambda: {(OWNER, TASKS): 10, (OWNER, RESULTS): 11, (201, 4): 10}
    )
    moved: frozenset[int] = frozenset()
    timeout: bool = False

    def watched(self, pid: int) -> Watched:
        one = Watched(replace(process(), pid=pid), f"/proc/{pid}")
        one.stood = lambda tid: tid not in self.moved
        return one

    def syscall(self, pid: int, name: str) -> bytes:
        """What /proc says of the call of a thread; one that was woken runs, or is about to."""
        number, first = self.blocked.get(int(name.split("/")[1]), (None, 0))
        return b"running" if number is None else f"{number} {first:#x}{' 0x0' * 7}".encode()


def is_lost(monkeypatch: pytest.MonkeyPatch, **other: Any) -> bool:
    world = World(**other)
    monkeypatch.setattr(pipe_fds, "of_fd", lambda pid, fd: world.pipes.get((pid, fd)))
    monkeypatch.setattr(procfs, "read", world.syscall)
    monkeypatch.setattr(procfs, "futex_timeout", lambda pid, tid: world.timeout)
    workers = {pid: world.watched(pid) for pid in world.does}
    return pool_jobs.is_lost(world.job, world.does, world.watched(OWNER), WAITER, workers)


def test_what_no_process_has_while_one_of_them_reads_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert is_lost(monkeypatch)
    assert is_lost(monkeypatch, does={201: READS, 202: OTHER})


@pytest.mark.parametrize("on_its_way", [False, True])
def test_what_no_process_will_ever_take_is_lost(
    on_its_way: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = JOB._replace(on_its_way=on_its_way)
    assert is_lost(monkeypatch, job=job, does={201: TURNS, 202: TURNS})
    assert is_lost(monkeypatch, job=job, does={201: OTHER, 202: TURNS})
    assert not is_lost(monkeypatch, job=job, does={201: MINE, 202: TURNS})


@pytest.mark.parametrize(
    "other",
    [
        {"job": JOB._replace(on_its_way=True)},
        {"job": JOB._replace(size=3)},
        {"job": JOB._replace(takes=None)},
        {"job": JOB._replace(open=False)},
        {"does": {201: READS}},
        {"does": {201: READS, 202: MINE}},
        {"does": {201: READS, 202: PoolWork(None, "_find_and_load")}},  # it may have just got it
        {"does": {201: OTHER, 202: OTHER}},
        {"pipes": {(OWNER, TASKS): 10, (OWNER, RESULTS): 11, (201, 4): 12}},
        {"pipes": {(OWNER, TASKS): None, (OWNER, RESULTS): 11, (201, 4): None}},
        {"pipes": {(OWNER, TASKS): 10, (OWNER, RESULTS): None, (201, 4): 10}},
        {"blocked": World().blocked | {TAKES: (FUTEX, RESULTS)}},
        *({"moved": frozenset({tid})} for tid in (WAITER, GIVES, TAKES, 201, 202)),
        *(
            {"blocked": {one: call for one, call in World().blocked.items() if one != tid}}
            for tid in (WAITER, GIVES, TAKES, 201, 202)
        ),
        {"timeout": True},
    ],
)
def test_but_not_where_it_may_be_somewhere(
    other: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_lost(monkeypatch, **other)


class _Says:
    def __init__(self, work: PoolWork | Exception) -> None:
        self._work = work

    def pool_work(self) -> PoolWork:
        if isinstance(self._work, Exception):
            raise self._work
        return self._work


def test_who_runs_or_is_not_recorded_is_not_asked() -> None:
    readers = {201: _Says(MINE), 202: _Says(Torn("it runs"))}
    pids = (201, 202, 203)
    assert pool_jobs.ask(pids, cast("Mapping[int, Reader]", readers), 2, 1 << 40) == {201: MINE}


def test_of_many_processes_others_are_asked_each_time() -> None:
    readers = cast("Mapping[int, Reader]", {pid: _Says(READS) for pid in (201, 202)})
    asked = [list(pool_jobs.ask(JOB.pids, readers, turn, 0)) for turn in range(3)]
    assert asked == [[201], [202], [201]]
