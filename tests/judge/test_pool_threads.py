"""What threads of AnyIO and multiprocessing do: only what is proven to wait for work is idle."""

from __future__ import annotations

import pytest

from tests.examples.build import LIB, SITE, activities, activity, at, stack
from waitspy.judge import pool_threads
from waitspy.model.recorded import SourceLines
from waitspy.model.stacks import Stack
from waitspy.model.waits import Wait, WaitKind

ANYIO = f"{SITE}/anyio/_backends/_asyncio.py"
THREAD = stack("_bootstrap@lib/threading.py:1002 > run@lib/threading.py:982")
GET = stack("Queue.get@lib/queue.py:171 > Condition.wait@lib/threading.py:327")
AT_GET = THREAD + stack("WorkerThread.run@site/anyio/_backends/_asyncio.py:986")
AT_CALL = THREAD + stack("WorkerThread.run@site/anyio/_backends/_asyncio.py:1002")
ENDPOINT = AT_CALL + stack("report@/app/views.py:12")
QUEUED = Wait(WaitKind.QUEUE, "queue.Queue.get", "futex")
SLEEPS = Wait(WaitKind.SLEEP, None, "clock_nanosleep")
LOCKED = Wait(WaitKind.LOCK, "context.run", "futex")
SOURCE: SourceLines = {
    ANYIO: {
        986: "                item = self.queue.get()",
        1002: "                        result = context.run(func, *args)",
    }
}


def idle_of(shown: Stack, wait: Wait, *others: Stack, sources: SourceLines | None = None) -> bool:
    """Whether that is taken for idle where the others were seen, too."""
    one = activity(0, 100, shown, wait)
    done = [activities(one), *(activities(activity(0, 100, other, QUEUED)) for other in others)]
    return pool_threads.is_idle(one, pool_threads.anyio_idle(done, sources or {}))


@pytest.mark.parametrize("sources", [SOURCE, {}], ids=["source", "no source"])
def test_a_thread_is_idle_in_the_one_place_where_it_gets_its_work(sources: SourceLines) -> None:
    assert idle_of(AT_GET + GET, QUEUED, sources=sources)
    assert idle_of(AT_GET + GET[:1], QUEUED, ENDPOINT, sources=sources)
    assert idle_of(AT_GET, Wait(WaitKind.ON_CPU), AT_GET + GET, sources=sources)


@pytest.mark.parametrize("sources", [SOURCE, {}], ids=["source", "no source"])
def test_a_get_that_it_was_given_is_work(sources: SourceLines) -> None:
    assert not idle_of(AT_CALL + GET, QUEUED, AT_GET + GET, sources=sources)


def test_with_its_source_a_get_that_all_threads_were_given_is_work_too() -> None:
    assert not idle_of(AT_CALL + GET, QUEUED, sources=SOURCE)


@pytest.mark.parametrize("wait", [SLEEPS, LOCKED, Wait(WaitKind.UNKNOWN)])
@pytest.mark.parametrize("others", [(), (AT_GET + GET,)], ids=["alone", "beside an idle one"])
def test_a_c_function_is_work(wait: Wait, others: tuple[Stack, ...]) -> None:
    assert not idle_of(AT_CALL, wait, *others)


def test_other_frames_of_the_library_are_work() -> None:
    put = AT_GET + stack("Queue.put@lib/queue.py:140 > Condition.wait@lib/threading.py:327")
    assert not idle_of(put, QUEUED, AT_GET + GET)
    assert not idle_of(AT_GET + GET + ENDPOINT[-1:], QUEUED)
    event = AT_CALL + stack("Event.wait@lib/threading.py:629 > Condition.wait@lib/threading.py:327")
    assert not idle_of(event, LOCKED, AT_GET + GET)


POOL = f"{LIB}/multiprocessing/pool.py"
TASKS: SourceLines = {
    POOL: {
        114: "            task = get()",
        125: "            result = (True, func(*args, **kwds))",
    }
}
AT_TASK, AT_FUNCTION = (
    THREAD + stack(f"worker@lib/multiprocessing/pool.py:{n}") for n in (114, 125)
)


@pytest.mark.parametrize("sources", [TASKS, {}], ids=["source", "no source"])
def test_a_worker_of_a_thread_pool_is_idle_where_it_gets_its_task(sources: SourceLines) -> None:
    done = [activities(activity(0, 100, at, QUEUED)) for at in (AT_FUNCTION, AT_TASK)]
    idle = pool_threads.multiprocessing_idle(done, sources)
    shown = {at: pool_threads.is_idle(activity(0, 100, at, QUEUED), idle)
             for at in (AT_TASK, AT_FUNCTION, AT_FUNCTION + ENDPOINT[-1:])}  # fmt: skip
    assert list(shown.values()) == [True, False, False]


def test_with_its_source_a_function_in_c_that_all_were_given_is_work() -> None:
    done = [activities(activity(0, 100, AT_FUNCTION, SLEEPS))]
    assert pool_threads.multiprocessing_idle(done, TASKS) == frozenset()


@pytest.mark.parametrize("call", ["ApplyResult.get", "ApplyResult.wait", "IMapIterator.next"])
def test_who_waits_for_results_of_multiprocessing(call: str) -> None:
    shown = ENDPOINT + stack(f"{call}@lib/multiprocessing/pool.py:768")
    assert pool_threads.waits_for_batch(shown)
    assert pool_threads.waits_for_future(activities(activity(0, 100, shown, LOCKED)), at(50))
    assert not pool_threads.waits_for_batch(
        ENDPOINT + stack("_handle_tasks@lib/multiprocessing/pool.py:5")
    )


def test_the_function_that_a_worker_of_multiprocessing_was_given() -> None:
    shown = ENDPOINT + stack("worker@lib/multiprocessing/pool.py:125 > convert@/app/jobs.py:5")
    assert pool_threads.functions(shown) == {"convert"}
