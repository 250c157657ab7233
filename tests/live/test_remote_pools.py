"""What is read of other processes' thread pools and groups equals what they print of themselves."""

from __future__ import annotations

import pytest

from tests.live.running import TARGETS, futexes
from tests.pythons import marks
from tests.remote.interpreters import Python, found, with_modules
from tests.remote.started import started
from waitspy.model.clock import NS
from waitspy.model.pools import PoolKind
from waitspy.remote.reader import Reader
from waitspy.remote.values import PoolFacts

pytestmark = pytest.mark.ptrace

POOLS = TARGETS / "remote_pools.py"
PLAIN = [pytest.param(python, id=str(python)) for python in found()]
ENDS = [pytest.param(python, id=str(python), marks=marks(python.version)) for python in found()]
FRAMEWORKS = [pytest.param(p, id=str(p)) for p in with_modules("anyio", "asgiref")]


def by_prefix(reader: Reader) -> dict[str | None, PoolFacts]:
    reader.loops()
    return {pool.prefix: pool for pool in reader.pools.executors()}


@pytest.mark.parametrize("python", PLAIN)
def test_pools(python: Python) -> None:
    with started(python, POOLS) as process:
        truth = process.truth["pools"]
        reader = Reader(process.pid)
        pools = by_prefix(reader)
        assert pools.keys() == truth.keys()
        for prefix, facts in truth.items():
            pool = pools[prefix]
            assert list(pool.tids) == facts["tids"], prefix
            assert pool.queued == facts["queued"], prefix
            assert pool.max_workers == facts["max_workers"], prefix
            assert (pool.head is None) == (not facts["queued"]), prefix
        assert {p for p, pool in pools.items() if pool.shutdown} == {"ended"}
        assert {p for p, pool in pools.items() if pool.executor is None} == {"dropped"}
        assert {p for p, pool in pools.items() if pool.role} == {"of-the-loop"}
        assert pools["of-the-loop"].role == "default executor"
        names = [callback.name for callback in pools["of-the-loop"].first]
        # the sixth is there from 3.9 on and goes through asyncio.to_thread
        assert names == ["other_job"] * 5 + ["queued_job"] * (truth["of-the-loop"]["queued"] - 5)
        own = pools["own"].first
        assert [callback.name for callback in own] == [
            "queued_job",
            "Service.method_job",
            "len",
        ]
        assert str(own[0].where).rpartition(":")[0].endswith("remote_pools.py")
        assert own[2].where is None
        of_clients = {p for p, pool in pools.items() if reader.pools.is_of_clients(pool)}
        assert of_clients == {"clients"}


@pytest.mark.parametrize("python", ENDS)
def test_the_head_of_a_queue_that_stands_still_stays(python: Python) -> None:
    with started(python, POOLS) as process:
        reader = Reader(process.pid)
        first, again = by_prefix(reader), by_prefix(reader)
        assert first["own"].head == again["own"].head
        assert first["own"].head != first["of-the-loop"].head
        assert first["own"].queue == again["own"].queue


@pytest.mark.parametrize("python", FRAMEWORKS)
def test_anyio_and_asgiref(python: Python) -> None:
    with started(python, POOLS, "frameworks") as process:
        reader = Reader(process.pid)
        pools = {pool.role: pool for pool in by_prefix(reader).values()}
        asgiref = pools[PoolKind.ASGIREF]
        assert asgiref.prefix is not None
        truth = process.truth["pools"][asgiref.prefix]
        assert (list(asgiref.tids), asgiref.queued) == (truth["tids"], truth["queued"])
        assert [callback.name for callback in asgiref.first] == ["django_view"]
        (limiter,) = reader.pools.limiters()
        assert (limiter.total, limiter.borrowed, limiter.waiting) == (2, 2, 3)
        assert [task.name for task in limiter.first] == ["handler-2", "handler-3", "handler-4"]
        assert limiter.head == limiter.first[0].address
        (loop,) = [loop for loop in reader.loops() if loop.running]
        assert limiter.loop == loop.address
        timers = reader.snapshot(loop).timers
        assert timers is not None
        assert [(timer.guards, timer.task and timer.task.coroutine) for timer in timers.late] == [
            (True, "limited_by_anyio")
        ]


def test_no_limiter_without_anyio() -> None:
    with started(found()[-1], POOLS) as process:
        assert Reader(process.pid).pools.limiters() == ()


@pytest.mark.parametrize("python", ENDS)
def test_who_awaits_what_a_pool_does(python: Python) -> None:
    with started(python, TARGETS / "awaited_pool.py") as process:
        reader = Reader(process.pid)
        (pool,) = by_prefix(reader).values()
        assert pool.queued == 1
        places = [
            (task.stack[0].function, task.stack[0].line) for task in reader.pools.awaiting(pool)
        ]
        assert places == [("under_way", process.truth["line"])] * 2


@pytest.mark.parametrize("python", PLAIN)
def test_threads_that_take_from_one_queue(python: Python) -> None:
    with started(python, TARGETS / "thread_groups.py", "known") as process:
        reader = Reader(process.pid)
        truth, addresses = process.truth["groups"], process.truth["queues"]
        busy = {group.queue: group for group in reader.pools.groups(reader.pools.executors())}
        known = {
            addresses[queue]: (name, tuple(tids))
            for name, queues in truth.items()
            for queue, tids in queues.items()
        }
        by_code = {q: told for q, told in known.items() if told[0] != "pass_on"}
        assert {q: (group.name, group.tids) for q, group in busy.items()} == by_code
        # one that takes from a queue and fills another one is known once it was seen to wait
        edges = reader.wait_for(process.truth["tids"], futexes(process.pid), {}, NS).waiting
        assert {edge.kind for edge in edges} == {"queue", "event"}
        waiting = {edge.subject for edge in edges if edge.kind == "queue"}
        at_work = {addresses[name] for name in ("never_idle", "asked", "served")}
        assert waiting == {*known, addresses["last"]} - at_work
        found = reader.pools.groups(reader.pools.executors())
        groups = {group.queue: reader.pools.group(group) for group in found}
        assert {q: (group.name, group.tids) for q, group in groups.items()} == known
        assert {len(reader.pools.queued(groups[q]) or ()) for q in waiting & known.keys()} == {0}
        assert groups[addresses["served"]].role == PoolKind.SERVER
        queued = groups[addresses["never_idle"]]
        assert len(reader.pools.queued(queued) or ()) == 4
        assert queued.head == (reader.pools.queued(queued) or ())[0]
        assert [item.name for item in queued.first] == ["quick"] * 3 + ["tuple"]
        assert set(queued.promises) >= set(process.truth["promises"])
        assert queued.of_clients


@pytest.mark.parametrize("python", ENDS)
def test_who_waits_for_items_of_a_queue_by_way_of_other_futures(python: Python) -> None:
    with started(python, TARGETS / "thread_groups.py", "replies") as process:
        reader = Reader(process.pid)
        (group,) = reader.pools.groups(reader.pools.executors())
        looked = reader.pools.group(group)
        assert set(looked.promises) >= set(process.truth["own"])
        assert process.truth["of_all"] not in looked.promises
        waiting = reader.pools.awaiting_items(looked)
        *waits, _ = process.truth["tasks"]
        assert {task.address for task in waiting} == set(waits)


@pytest.mark.parametrize("python", ENDS)
def test_pools_of_processes(python: Python) -> None:
    with started(python, TARGETS / "process_pool.py", "known") as process:
        reader = Reader(process.pid)
        (pool,) = reader.pools.processes()
        assert list(pool.pids) == process.truth["pids"]
        assert pool.size == 2
        assert len(reader.pools.queued(pool) or ()) == process.truth["queued"]
        looked = reader.pools.process_pool(pool)
        assert [item.name for item in looked.first] == ["quick"] * 3 + ["Job.__call__", "mapped"]
        assert looked.items == reader.pools.queued(pool)


MULTIPROCESSING = TARGETS / "multiprocessing_pool.py"


@pytest.mark.parametrize("python", ENDS)
def test_pools_of_multiprocessing(python: Python) -> None:
    with started(python, MULTIPROCESSING, "known", "processes") as process:
        reader = Reader(process.pid)
        (pool,) = reader.pools.processes()
        assert list(pool.pids) == process.truth["workers"]
        assert pool.size == 2
        items = reader.pools.queued(pool) or ()
        assert len(items) == process.truth["queued"]
        looked = reader.pools.process_pool(pool)
        assert looked.items == items[:8]
        # no thread waits for the others: their names are not known
        assert [item.name for item in looked.first] == ["quick"] + ["hurried"] * 4
        assert reader.pools.groups(()) == ()
        tasks = [Reader(pid).pool_work().task for pid in pool.pids]
        assert sorted(task.job for task in tasks if task) == process.truth["jobs"]


@pytest.mark.parametrize("python", ENDS)
def test_pools_of_threads_of_multiprocessing(python: Python) -> None:
    with started(python, MULTIPROCESSING, "known", "threads") as process:
        reader = Reader(process.pid)
        (pool,) = reader.pools.executors()
        assert (list(pool.tids), pool.max_workers) == (process.truth["workers"], 2)
        assert pool.queued == process.truth["queued"] == len(reader.pools.queued(pool) or ())
        assert [item.name for item in pool.first] == ["quick"] * 2 + ["hurried"] * 4 + ["quick"] * 2
        assert reader.pools.waiting_on_itself(pool) == frozenset()
        assert reader.pools.groups((pool,)) == ()
