"""Where tasks and threads wait: at which line, what for, how long, and what is not known of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.examples.build import (
    LIB,
    PARKED,
    SOURCES,
    THREAD,
    activities,
    activity,
    at,
    recording,
    stack,
    states,
    worker,
)
from waitspy.judge import analysis, places
from waitspy.model.judged import Place, TasksLooked, WhatWaits
from waitspy.model.loops import LoopEvent, LoopInfo
from waitspy.model.places import PlacesEvent, TaskGroup
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.threads import NO_STATES, KernelState
from waitspy.model.waits import Wait, WaitKind

OK = {"places": "ok"}
LOOP = 0xA0
OWN = "handle@/app/views.py:21 > fetch@/app/client.py:41"
EVENT = f"{OWN} > Event.wait@lib/asyncio/locks.py:213"


def group(
    text: str, count: int = 1, since_ms: float | None = None, *, still: bool = False, **more: str
) -> TaskGroup:
    since_ns = None if since_ms is None else at(since_ms)
    return TaskGroup(stack(text), more.get("future", "Future"), count, since_ns, still)


def seen(ms: float, *groups: TaskGroup, loop: int = LOOP, looked: int = 9) -> PlacesEvent:
    return PlacesEvent(at(ms), loop, 9, looked, groups)


def same(ms: float, loop: int = LOOP) -> PlacesEvent:
    return PlacesEvent(at(ms), loop)


def looked_at(*events: PlacesEvent, pid: int = 100, gone_ms: float | None = None) -> WorkerRecord:
    gone_ns = None if gone_ms is None else at(gone_ms)
    return worker(pid, places=events, oracles=OK, gone_ns=gone_ns)


def found(*workers: WorkerRecord) -> tuple[Place, ...]:
    listed = places.find(workers, {}, SOURCES, at(10_000))
    assert listed is not None
    return listed


def test_tasks_are_told_at_their_own_line_with_what_they_await() -> None:
    (one,) = found(looked_at(seen(9_000, group(EVENT, 12, 5_000, still=True))))
    assert one == Place(
        what="task",
        function="fetch",
        file="/app/client.py",
        line=41,
        awaits="Event.wait (asyncio/locks.py:213)",
        wait="other",
        count=12,
        longest_s=4.0,
        sure=True,
        pids=(100,),
        source="        time.sleep(backoff_s)",
    )


@pytest.mark.parametrize(
    ("awaits", "told", "wait"),
    [
        ("", "Future", "other"),
        (
            (
                "StreamReader.readline@lib/asyncio/streams.py:568"
                " > StreamReader._wait_for_data@lib/asyncio/streams.py:539"
            ),
            "StreamReader.readline (asyncio/streams.py:568)",
            "idle",
        ),
        ("Queue.get@lib/asyncio/queues.py:158", "Queue.get (asyncio/queues.py:158)", "idle"),
        ("sleep@lib/asyncio/tasks.py:665", "sleep (asyncio/tasks.py:665)", "idle"),
        (
            (
                "_ContextManagerMixin.__aenter__@lib/asyncio/locks.py:15"
                " > Lock.acquire@lib/asyncio/locks.py:113"
            ),
            "Lock.acquire (asyncio/locks.py:113)",
            "lock",
        ),
        (
            "Lock.__aenter__@site/tornado/locks.py:574",
            "Lock.__aenter__ (tornado/locks.py:574)",
            "lock",
        ),
        (
            (
                "ClientSession._request@site/aiohttp/client.py:500"
                " > BaseConnector.connect@site/aiohttp/connector.py:540"
                " > BaseConnector._wait_for_available_connection@site/aiohttp/connector.py:480"
            ),
            "BaseConnector._wait_for_available_connection (aiohttp/connector.py:480)",
            "other",
        ),
        (
            "wait_for@lib/asyncio/tasks.py:507 > Event.wait@lib/asyncio/locks.py:212",
            "Event.wait (asyncio/locks.py:212)",
            "other",
        ),
        ("acquire@site/mine/locks.py:3", "acquire (mine/locks.py:3)", "other"),
    ],
)
def test_what_is_awaited_is_named_by_who_knows(awaits: str, told: str, wait: str) -> None:
    text = f"{OWN} > {awaits}" if awaits else OWN
    (one,) = found(looked_at(seen(9_000, group(text))))
    assert (one.function, one.awaits, one.wait) == ("fetch", told, wait)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("run_asgi@site/uvicorn/h11.py:4 > query@/app/db.py:9", "other"),
        ("run_asgi@site/uvicorn/h11.py:4 > query@/app/db.py:9 > poll@site/filelock/api.py:3",
         "other"),
        ("run_asgi@site/uvicorn/h11.py:4 > chat@/app/ws.py:9 > receive@site/starlette/ws.py:3",
         "idle"),  # what its client says next
        ("query@/app/db.py:9", "idle"),
        ("invoke@site/click/core.py:9 > consume@/app/main.py:9", "idle"),
    ],
)  # fmt: skip
def test_a_request_that_waits_at_a_queue_is_not_idle(text: str, wait: str) -> None:
    waits = f"{text} > Queue.get@lib/asyncio/queues.py:158"
    assert [place.wait for place in found(looked_at(seen(9_000, group(waits))))] == [wait]


def test_a_future_has_its_types_name_or_none_that_is_known() -> None:
    for future, told in (("_GatheringFuture", "gather"), ("Task", "Task"), (None, "?")):
        one = TaskGroup(stack(OWN), future, 1, None, still=False)
        assert [place.awaits for place in found(looked_at(seen(9_000, one)))] == [told]


def test_a_task_that_was_seen_once_has_been_there_for_nobody_knows_how_long() -> None:
    (one,) = found(looked_at(seen(9_000, group(EVENT, still=True))))
    assert one.longest_s is None


def test_a_second_look_at_which_all_are_there_makes_them_as_old_as_the_first() -> None:
    (one,) = found(looked_at(seen(3_000, group(EVENT)), same(5_000), same(9_500)))
    assert (one.longest_s, one.sure) == (6.5, False)
    (one,) = found(looked_at(seen(3_000, group(EVENT, 1, 1_000)), same(9_500)))
    assert one.longest_s == 8.5


def test_a_later_look_says_what_is_left() -> None:
    looks = (seen(3_000, group(EVENT, 5)), same(4_000), seen(9_000, group(EVENT, 1, 3_000)))
    (one,) = found(looked_at(*looks))
    assert (one.count, one.longest_s) == (1, 6.0)
    assert found(looked_at(*looks, seen(9_900))) == ()


def test_only_loops_of_the_last_look_are_told() -> None:
    gone = seen(3_000, group(EVENT, 5), loop=1)
    assert found(looked_at(gone, seen(9_000, loop=2))) == ()
    (one,) = found(looked_at(gone, seen(3_000, group(EVENT), loop=2), same(9_000, loop=2)))
    assert one.count == 1


def test_what_a_process_that_has_ended_waited_for_is_not_told() -> None:
    assert found(looked_at(seen(3_000, group(EVENT)), gone_ms=4_000)) == ()


def test_the_same_line_in_several_workers_is_one_place() -> None:
    one = looked_at(seen(9_000, group(EVENT, 2, 8_000, still=True)))
    other = looked_at(seen(9_000, group(EVENT, 3, 4_000)), pid=101)
    (place,) = found(one, other)
    assert (place.count, place.pids, place.longest_s, place.sure) == (5, (100, 101), 5.0, False)


def test_idle_places_come_last_and_where_most_is_waited_first() -> None:
    idle = group("main@/app/main.py:3 > Queue.get@lib/asyncio/queues.py:158", 90, 0)
    few = group("few@/app/few.py:3", 1, 1_000)
    many = group("many@/app/many.py:3", 9, 5_000)
    framework = group("Server.main@site/uvicorn/server.py:3", 50, 0)
    listed = found(looked_at(seen(9_000, idle, few, many, framework)))
    assert [one.function for one in listed] == ["many", "few", "main", "Server.main"]
    assert [one.wait for one in listed] == ["other", "other", "idle", "idle"]


def test_a_task_without_frames_has_a_name_at_least() -> None:
    compiled = TaskGroup(stack("CythonCoroutine@"), "Future", 2, None, still=False)
    nothing = TaskGroup((), None, 1, None, still=False)
    listed = found(looked_at(seen(9_000, compiled, nothing)))
    assert [(one.function, one.file, one.line) for one in listed] == [
        ("CythonCoroutine", None, None),
        ("?", None, None),
    ]


# --- what is not known -------------------------------------------------------------------------


def test_without_a_look_nothing_is_known() -> None:
    assert places.find([worker(oracles={})], {}, {}, at(9)) is None
    refused = worker(oracles={"places": "its machine type is not known"})
    assert places.find([refused], {}, {}, at(9)) is None
    assert places.looked([refused], at(9)) is None
    loop = LoopEvent(at(0), LOOP, facts=LoopInfo("asyncio", 3, 100, "running", None))
    unseen = worker(oracles=OK, loops=(loop,))  # it has a loop, and every look failed
    assert places.find([unseen], {}, {}, at(9)) is None


def test_a_worker_without_loops_has_no_tasks() -> None:
    assert found(worker(oracles=OK)) == ()
    assert places.looked([worker(oracles=OK)], at(9)) == TasksLooked(0, 0)


def test_how_many_tasks_were_looked_at_is_told() -> None:
    one = looked_at(seen(9_000, group(EVENT), looked=4), seen(9_000, loop=2, looked=9))
    assert places.looked([one], at(10_000)) == TasksLooked(18, 13)


# --- threads -----------------------------------------------------------------------------------

LOCK = Wait(WaitKind.LOCK, "self.lock.acquire", "futex")
STUCK = THREAD + stack("run@/app/worker.py:13")


def of_thread(
    *shown: tuple[float, float, Wait], kernel: Sequence[KernelState] | None = None
) -> tuple[Place, ...]:
    rows = activities(*(activity(start, end, STUCK, wait) for start, end, wait in shown))
    known = kernel if kernel is not None else states((0, "futex 0x7"))
    one = worker(oracles={"threads": "ok"}, kernel={7: known})
    listed = places.find([one], {ThreadKey(100, 7): rows}, SOURCES, at(10_000))
    assert listed is not None
    return listed


def test_a_thread_that_stands_in_one_wait_is_told_with_it() -> None:
    (one,) = of_thread((0, 2_000, Wait(WaitKind.ON_CPU)), (2_000, 10_000, LOCK))
    assert (one.what, one.function, one.line) == ("thread", "run", 13)
    assert (one.awaits, one.wait) == ("self.lock.acquire (futex)", "other")
    assert (one.longest_s, one.sure, one.count) == (8.0, True, 1)


def test_a_thread_that_ran_in_between_may_have_waited_again() -> None:
    kernel = states((0, "futex 0x7"), (3_000, "futex 0x7"), (6_000, "futex 0x7"))
    (one,) = of_thread((0, 10_000, LOCK), kernel=kernel)
    assert (one.longest_s, one.sure) == (10.0, False)
    (one,) = of_thread((0, 10_000, LOCK), kernel=states((0, "futex 0x7"), schedstat=False))
    assert one.sure is False
    (one,) = of_thread((0, 10_000, LOCK), kernel=NO_STATES)
    assert one.sure is False


def test_waits_of_less_than_half_of_the_time_are_not_told() -> None:
    assert of_thread((0, 4_900, LOCK)) == ()
    assert len(of_thread((0, 5_000, LOCK))) == 1


REQUEST = stack(f"finish_request@{LIB}/socketserver.py:361 > do_GET@/app/web.py:5")


@pytest.mark.parametrize(
    ("shown", "start_ms", "end_ms", "told"),
    [
        (REQUEST, 8_500, 10_000, 1.5),
        (REQUEST, 4_000, 5_500, 1.5),  # it has ended
        (REQUEST, 9_100, 10_000, None),
        (STUCK, 8_500, 10_000, None),  # nobody has asked for that
    ],
)
def test_who_waited_with_what_was_asked_for_is_told_though_not_for_most_of_the_time(
    shown: Stack, start_ms: float, end_ms: float, told: float | None
) -> None:
    rows = activities(activity(start_ms, end_ms, shown, LOCK))
    kernel = states((0, "run"), (start_ms, "futex 0x7"))
    one = worker(oracles={"threads": "ok"}, kernel={7: kernel})
    listed = places.find([one], {ThreadKey(100, 7): rows}, SOURCES, at(10_000))
    assert listed is not None
    assert [place.longest_s for place in listed] == ([] if told is None else [told])


def test_of_those_that_waited_so_the_last_ones_are_told_together() -> None:
    spans = {7: (1_000, 3_000), 8: (4_000, 6_000), 9: (4_800, 6_200), 10: (6_000, 6_900)}
    done = {
        ThreadKey(100, tid): activities(activity(*span, REQUEST, LOCK))
        for tid, span in spans.items()
    }
    kernel = {tid: states((0, "run"), (start, "futex 0x7")) for tid, (start, _) in spans.items()}
    one = worker(oracles={"threads": "ok"}, kernel=kernel)
    listed = places.find([one], done, SOURCES, at(10_000))
    assert listed is not None
    assert [(place.count, place.longest_s) for place in listed] == [(2, 2.0)]


@pytest.mark.parametrize("kind", [WaitKind.ON_CPU, WaitKind.GIL, WaitKind.LOOP_POLL])
def test_who_runs_or_polls_waits_for_nothing(kind: WaitKind) -> None:
    assert of_thread((0, 10_000, Wait(kind))) == ()


@pytest.mark.parametrize(
    ("wait", "told"),
    [
        (Wait(WaitKind.QUEUE, "queue.Queue.get", "futex"), "idle"),
        (Wait(WaitKind.SOCKET, "accept", "accept4"), "idle"),
        (Wait(WaitKind.SOCKET, "recv", "recvfrom"), "other"),
        (Wait(WaitKind.FUTURE, "Future.result", "futex"), "other"),
    ],
)
def test_idle_threads_wait_for_work(wait: Wait, told: str) -> None:
    assert [one.wait for one in of_thread((0, 10_000, wait))] == [told]


QUEUE = Wait(WaitKind.QUEUE, "Queue.get", "futex")
TAKES = " > Queue.get@lib/queue.py:171"


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (f"run@lib/threading.py:982 > take@/app/worker.py:5{TAKES}", "idle"),
        (f"main@{LIB}/socketserver.py:755 > do_GET@/app/web.py:5{TAKES}", "idle"),
        (f"finish_request@{LIB}/socketserver.py:361 > do_GET@/app/web.py:5{TAKES}", "other"),
        (
            f"_WorkItem.run@{LIB}/concurrent/futures/thread.py:58 > job@/app/web.py:5{TAKES}",
            "other",
        ),
        (f"run_wsgi@site/werkzeug/serving.py:370 > index@/app/web.py:5{TAKES}", "other"),
        (f"__call__@site/click/core.py:1130 > consume@/app/web.py:5{TAKES}", "idle"),
        (f"main@/app/web.py:9 > BaseServer.serve_forever@{LIB}/socketserver.py:235", "idle"),
    ],
)
def test_who_waits_in_what_was_asked_for_is_not_idle(shown: str, told: str) -> None:
    wait = QUEUE if shown.endswith(TAKES) else Wait(WaitKind.SOCKET, "selectors.select", "poll")
    rows = activities(activity(0, 10_000, stack(shown), wait))
    one = worker(oracles={"threads": "ok"}, kernel={7: states((0, "futex 0x7"))})
    listed = places.find([one], {ThreadKey(100, 7): rows}, SOURCES, at(10_000))
    assert listed is not None
    assert [place.wait for place in listed] == [told]


def test_threads_of_a_server_or_of_a_loop_are_not_told() -> None:
    library = stack(f"serve@{LIB}/socketserver.py:235")
    loop = stack("main@/app/main.py:5 > BaseEventLoop._run_once@lib/asyncio/base_events.py:1948")
    for shown in (library, loop):
        rows = activities(activity(0, 10_000, shown, LOCK))
        one = worker(oracles={"threads": "ok"})
        assert places.find([one], {ThreadKey(100, 7): rows}, {}, at(10_000)) == ()


def test_the_report_has_places_and_the_times_of_its_workers() -> None:
    one = worker(
        oracles={"threads": "ok", "places": "ok"},
        shown={7: [(0, 10_000, PARKED)]},
        kernel={7: states((0, "futex 0x7"), (10_000, "futex 0x7"))},
        places=(seen(9_000, group(EVENT)),),
    )
    waiting = analysis.analyse(recording(one)).report.waiting
    assert [place.function for place in waiting.places or ()] == ["fetch", "Worker.next_message"]
    assert waiting.tasks == TasksLooked(9, 9)
    assert [one.pid for one in waiting.workers] == [100]
    assert analysis.analyse(recording(worker(oracles={}))).report.waiting == WhatWaits()
