"""Thread pools: what is starvation and what is a batch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.examples.build import activities, activity, at, ms, stack, worker
from tests.examples.pool_examples import (
    ANYIO,
    ANYIO_IDLE,
    AT_CALL,
    BATCH,
    BLOCKED,
    COMPUTES,
    DEFAULT,
    DJANGO,
    ENDPOINT,
    IDLE,
    LIMITER,
    OWN,
    POOL,
    RESULT,
    SLEEPS,
    SLOW,
    STUCK,
    WAITS,
    WANTS_GIL,
    WORKER,
    found,
    queue,
    waits,
)
from waitspy.judge import findings, pool_episodes, pools
from waitspy.model.kinds import DEADLOCK, EXHAUSTED_POOL
from waitspy.model.pools import PoolEvent, PoolInfo, PoolKind, PoolWaits
from waitspy.model.processes import ThreadKey
from waitspy.model.stacks import Stack
from waitspy.model.waits import Wait, WaitKind


def test_items_that_stand_still_behind_blocked_threads() -> None:
    (one,) = found(DEFAULT, [*STUCK, waits(160, "lookup")], BLOCKED)
    assert (one.kind.name, one.verdict) == ("exhausted-pool", "starving")
    assert (ms(one.start_ns), ms(one.end_ns)) == (100, 900)
    assert one.threads == (ThreadKey(100, 11), ThreadKey(100, 12))
    assert one.waiting == 3
    assert one.served == 0
    assert one.detail == "the default executor: all 2 threads"
    assert [(i.kind, i.name, ms(i.start_ns), i.count) for i in one.items] == [
        ("work-item", "lookup", 100, 1),
        ("work-item", "", 300, 2),
    ]


def test_a_short_wait_is_none() -> None:
    assert found(DEFAULT, queue((100, 1, 0), (190, 0, 1)), BLOCKED) == []


def test_tasks_that_wait_for_a_token_of_anyio() -> None:
    did = {tid: [(0, 2_000, ENDPOINT, SLEEPS)] for tid in (21, 22)}
    did[30] = [(0, 2_000, ANYIO_IDLE, Wait(WaitKind.QUEUE))]
    did[1] = [(0, 2_000, BATCH, WAITS)]
    (one,) = found(LIMITER, [*STUCK, waits(160, "handle")], did)
    assert (one.kind.name, one.pool) == ("exhausted-pool", PoolKind.ANYIO)
    assert one.threads == (ThreadKey(100, 21), ThreadKey(100, 22))
    assert {item.kind for item in one.items} == {"task"}
    # The limiter's own number: some of its threads may not have been sampled all the time.
    assert one.detail == "AnyIO's worker threads: all 40 threads"


@pytest.mark.parametrize(
    ("shown", "wait"),
    [
        (AT_CALL, SLEEPS),
        (AT_CALL, Wait(WaitKind.FILE, "context.run", "read")),
        (AT_CALL + ANYIO_IDLE[len(ANYIO) :], Wait(WaitKind.QUEUE, None, "futex")),
    ],
    ids=["time.sleep", "a file's read", "a queue's get"],
)
def test_tokens_that_a_library_s_function_holds(shown: Stack, wait: Wait) -> None:
    did = {tid: [(0.0, 2_000.0, shown, wait)] for tid in (21, 22)}
    did[30] = [(0.0, 2_000.0, ANYIO_IDLE, Wait(WaitKind.QUEUE))]
    (one,) = found(LIMITER, [*STUCK, waits(160, "handle")], did)
    assert one.kind.name == "exhausted-pool"
    assert one.threads == (ThreadKey(100, 21), ThreadKey(100, 22))


def test_a_batch_that_its_owner_waits_for_is_no_starvation() -> None:
    did = {**BLOCKED, 1: [(0, 2_000, BATCH, WAITS)]}
    assert found(OWN, [*STUCK, waits(160, "slow")], did) == []


@pytest.mark.parametrize(
    ("begun", "callers", "episodes"),
    [
        ("_process_request_thread@lib/socketserver.py:691", 2, 1),
        ("_process_request_thread@lib/socketserver.py:691", 1, 0),
        ("Thread.run@lib/threading.py:982 > dispatch@site/flask/app.py:880", 2, 1),
        ("Thread.run@lib/threading.py:982 > nightly@/app/jobs.py:8", 2, 0),
    ],
)
@pytest.mark.parametrize("waits_in", ["Future.result", "wait"])
def test_several_requests_that_wait_for_what_each_handed_in_are_no_batch(
    begun: str, callers: int, episodes: int, waits_in: str
) -> None:
    shown = stack(f"{begun} > view@/app/web.py:9 > {waits_in}@lib/concurrent/futures/_base.py:451")
    did = {**BLOCKED, **{tid: [(0, 2_000, shown, WAITS)] for tid in range(1, callers + 1)}}
    starved = found(OWN, [*STUCK, waits(160, "slow")], did)
    assert [one.kind.name for one in starved] == ["exhausted-pool"] * episodes


def test_a_batch_handed_in_at_once_is_no_starvation() -> None:
    burst = queue((100, 9, 0), (500, 7, 2), (900, 5, 4), (1_300, 3, 6), (1_700, 0, 9))
    assert found(OWN, [*burst, waits(160, "slow")], BLOCKED) == []


def test_a_batch_of_a_package_s_function_that_calls_the_program_s_is_one() -> None:
    run = "Thread.run@lib/threading.py:982 > _WorkItem.run@lib/concurrent/futures/thread.py:58"
    shown = stack(f"{run} > Batched.__call__@site/batched/calls.py:9 > slow@/app/jobs.py:5")
    did = {tid: [(0.0, 2_000.0, shown, SLEEPS)] for tid in (11, 12)}
    did[1] = [(0, 2_000, BATCH, WAITS)]
    assert found(OWN, [*STUCK, waits(160, "Batched.__call__")], did) == []
    assert len(found(OWN, [*STUCK, waits(160, "Thread.run")], did)) == 1


def test_but_other_work_behind_the_batch_is_starved() -> None:
    did = {**BLOCKED, 1: [(0, 2_000, BATCH, WAITS)]}
    (one,) = found(OWN, [*STUCK, waits(160, "save")], did)
    assert one.kind.name == "exhausted-pool"
    assert one.detail == "thread pool crawl: all 2 threads"


def test_work_that_keeps_coming_is_starved() -> None:
    coming = queue((100, 1, 0), (300, 2, 0), (600, 3, 0), (800, 4, 0), (900, 0, 4))
    (one,) = found(OWN, [*coming, waits(160, "slow")], BLOCKED)
    assert one.kind.name == "exhausted-pool"


def test_served_all_along_but_late_is_overload() -> None:
    steps = [(n * 50.0, 6, n) for n in range(20)]
    (one,) = found(OWN, queue(*steps), BLOCKED, end=1_000)
    assert (one.kind.name, one.verdict) == ("overloaded-pool", "late")
    assert one.served == 19


def test_a_short_burst_in_a_shared_pool_is_a_batch() -> None:
    steps = [(n * 50.0, 10 - n, n) for n in range(11)]
    assert found(DEFAULT, queue(*steps), BLOCKED, end=1_000) == []


def test_requests_that_come_for_a_while_to_a_shared_pool_are_no_batch() -> None:
    steps = [(n * 40.0, min(n, 20 - n), n // 2 if n <= 10 else n - 5) for n in range(21)]
    (one,) = found(DEFAULT, queue(*steps), BLOCKED, end=1_050)
    assert one.kind.name == "overloaded-pool"


@pytest.mark.parametrize(
    ("first", "last", "kinds"),
    [(190, 210, []), (200, 210, ["exhausted-pool"]), (190, 292, ["overloaded-pool"])],
    ids=["not known", "long enough", "served on"],
)
def test_a_pool_that_may_have_stood_still_since_before_is_not_told_to_serve(
    first: float, last: float, kinds: list[str]
) -> None:
    rows = [(100, 30, 0), (first, 24, 6), (first + 10, 20, 10), (last - 5, 9, 21), (last, 0, 30)]
    some = found(DEFAULT, [*queue(*rows), waits(160, *["lookup"] * 30)], BLOCKED)
    assert [one.kind.name for one in some] == kinds


def test_what_came_before_those_that_wait_for_long_came_with_them() -> None:
    """Six a tenth of a second, and three are done: only the last of them wait for that long."""
    rows = [(n * 10.0, round(n * 0.3), round(n * 0.3)) for n in range(1, 41)]
    rows += [(400 + n * 10.0, 12 - round(n * 0.3), 12 + round(n * 0.3)) for n in range(1, 41)]
    (one,) = found(DEFAULT, queue(*rows), BLOCKED, end=1_000)
    assert one.kind.name == "overloaded-pool"


# Two threads block for long, one after the other: an item is taken now and then, another waits.
STAGGERED = [(1_000.0, 2, 3), (1_060.0, 1, 4), (1_130.0, 0, 5)]


@pytest.mark.parametrize(
    ("pause", "then", "second"),
    [
        ((SLOW, SLEEPS), (SLOW, SLEEPS), "exhausted-pool"),
        ((WORKER, IDLE), (SLOW, SLEEPS), "exhausted-pool"),
        ((SLOW, SLEEPS), (SLOW, COMPUTES), "overloaded-pool"),
    ],
    ids=["never idle", "idle for a moment", "computes"],
)
def test_what_waits_while_an_exhausted_pool_drains_is_the_same_fault(
    pause: tuple[Stack, Wait], then: tuple[Stack, Wait], second: str
) -> None:
    did = {
        tid: [(0.0, 900.0, SLOW, SLEEPS), (900.0, 990.0, *pause), (990.0, 2_000.0, *then)]
        for tid in (11, 12)
    }
    events = [*STUCK, *queue(*STAGGERED), waits(160, "lookup"), waits(1_010, "lookup", "lookup")]
    seen = found(DEFAULT, events, did)
    assert [(s.kind.name, ms(s.start_ns), ms(s.end_ns)) for s in seen] == [
        ("exhausted-pool", 100, 900),
        (second, 1_000, 1_130),
    ]
    assert [s.verdict for s in seen] == [s.kind.verdict for s in seen]
    assert [s.served for s in seen] == [0, 1]


def test_what_was_not_sampled_of_a_pool_that_drains_does_not_make_it_another_fault() -> None:
    did = {tid: [(0.0, 990.0, SLOW, SLEEPS), (1_100.0, 2_000.0, SLOW, SLEEPS)] for tid in (11, 12)}
    events = [*STUCK, *queue(*STAGGERED), waits(160, "lookup"), waits(1_010, "lookup", "lookup")]
    assert [s.kind.name for s in found(DEFAULT, events, did)] == ["exhausted-pool"] * 2


def test_what_waits_before_a_pool_is_exhausted_for_good_is_the_same_fault() -> None:
    events = [
        *queue((100, 2, 0), (160, 1, 1), (230, 0, 2), (300, 2, 2), (900, 0, 4)),
        *(waits(at_ms, "lookup", "lookup") for at_ms in (110, 310)),
    ]
    assert [s.kind.name for s in found(DEFAULT, events, BLOCKED)] == ["exhausted-pool"] * 2


def test_a_pool_that_had_a_thread_to_spare_in_between_is_overloaded_anew() -> None:
    did = {
        11: [(0.0, 2_000.0, SLOW, SLEEPS)],
        12: [
            (0.0, 900.0, SLOW, SLEEPS),
            (900.0, 1_000.0, WORKER, IDLE),
            (1_000, 2e3, SLOW, SLEEPS),
        ],
    }
    events = [*STUCK, *queue(*STAGGERED), waits(160, "lookup"), waits(1_010, "lookup", "lookup")]
    assert [s.kind.name for s in found(DEFAULT, events, did)] == [
        "exhausted-pool",
        "overloaded-pool",
    ]


def test_a_pool_whose_threads_compute_is_not_exhausted() -> None:
    coming = queue((100, 1, 0), (600, 3, 0), (900, 0, 3))
    computing = {tid: [(0, 2_000, SLOW, COMPUTES)] for tid in (11, 12)}
    assert [s.kind.name for s in found(OWN, coming, computing, "run")] == ["overloaded-pool"]
    contending = {tid: [(0, 2_000, SLOW, WANTS_GIL)] for tid in (11, 12)}
    assert [s.kind.name for s in found(OWN, coming, contending, "futex 7")] == ["overloaded-pool"]


def test_one_idle_thread_and_it_is_not_exhausted() -> None:
    did = {11: [(0.0, 2_000.0, SLOW, SLEEPS)], 12: [(0.0, 2_000.0, WORKER, IDLE)]}
    assert found(DEFAULT, STUCK, did) == []


def test_a_stopped_process_had_no_cpu() -> None:
    (one,) = found(DEFAULT, STUCK, BLOCKED, "stop", process=1)
    assert (one.kind.name, one.held_by) == ("no-cpu", {})
    assert one.threads == (ThreadKey(100, 11, 1),), "of the second program with that pid"


@pytest.mark.parametrize(
    ("queued", "kinds"),
    [(150, ["exhausted-pool"]), (170, []), (395, []), (405, ["no-cpu"])],
    ids=["a little", "more", "nearly half", "half"],
)
def test_how_long_its_threads_were_kept_from_the_cpu_decides(
    queued: float, kinds: list[str]
) -> None:
    sleeps = "clock_nanosleep 1"
    kernel = [(0, sleeps), (200, "queue"), (200 + queued, sleeps), (2_000, sleeps)]
    seen = found(DEFAULT, [*STUCK, waits(160, "lookup")], BLOCKED, kernel)
    assert [one.kind.name for one in seen] == kinds


def test_without_stacks_nothing_is_claimed() -> None:
    assert found(DEFAULT, STUCK, {11: [], 12: []}) == []


@pytest.mark.parametrize(("holds", "deadlock"), [((11, 12), True), ((11,), False), ((), False)])
def test_a_deadlock_needs_every_thread(holds: tuple[int, ...], *, deadlock: bool) -> None:
    did = {tid: [(0, 2_000, RESULT, WAITS)] for tid in (11, 12)}
    did[1] = [(0, 2_000, BATCH, WAITS)]
    seen = found(OWN, [*queue((100, 2, 0)), waits(160, "outer", on_itself=holds)], did, "futex 7")
    told = "deadlock of thread pool crawl: all 2 threads wait for work that only this pool can run"
    assert [(s.kind, s.detail) for s in seen] == ([(DEADLOCK, told)] if deadlock else [])


def test_threads_that_hold_a_future_but_do_not_wait_for_it_are_no_deadlock() -> None:
    (one,) = found(DEFAULT, [*STUCK, waits(160, "slow", on_itself=(11, 12))], BLOCKED)
    assert (one.kind, one.detail) == (EXHAUSTED_POOL, "the default executor: all 2 threads")


@pytest.mark.parametrize(
    ("info", "kind", "title"),
    [
        (OWN, PoolKind.EXECUTOR, "thread pool crawl"),
        (PoolInfo("executor", None, None, 2, (11, 12)), PoolKind.EXECUTOR, "a thread pool"),
        (PoolInfo("executor", "p", "of a newer one", 2, (11, 12)), PoolKind.EXECUTOR, "thread pool p"),
        (DEFAULT, PoolKind.DEFAULT_EXECUTOR, "the default executor"),
        (DJANGO, PoolKind.ASGIREF, "asgiref thread-sensitive"),
    ],
)  # fmt: skip
def test_an_episode_says_what_pool_it_is(info: PoolInfo, kind: PoolKind, title: str) -> None:
    coming = queue((100, 1, 0), (300, 2, 0), (600, 3, 0), (800, 4, 0), (900, 0, 4))
    (one,) = found(info, [*coming, waits(160, "save")], BLOCKED)
    assert (one.pool, one.place, one.detail) == (kind, title, f"{title}: all 2 threads")


@pytest.mark.parametrize(("since", "kinds"), [(500, ["exhausted-pool"]), (501, [])])
def test_a_pool_that_was_sampled_for_less_than_half_is_not_judged(
    since: float, kinds: list[str]
) -> None:
    late = {tid: [(since, 2_000.0, SLOW, SLEEPS)] for tid in (11, 12)}
    seen = found(DEFAULT, [*STUCK, waits(160, "lookup")], late)
    assert [one.kind.name for one in seen] == kinds


def test_a_pool_that_is_gone_keeps_nobody_waiting() -> None:
    events = [*queue((100, 1, 0)), PoolEvent(at(150), POOL, gone=True)]
    assert found(DEFAULT, events, BLOCKED) == []


# --- what is told, and whose work it is -------------------------------------------------------------


def test_an_episode_tells_its_pool_and_where_each_item_comes_from() -> None:
    one_thread = PoolInfo("executor", "crawl", None, 1, (12,))
    coming = queue((100, 2, 0), (600, 3, 0), (900, 0, 3))
    (one,) = found(one_thread, [*coming, waits(160, "save", "load")], {12: BLOCKED[12]})
    assert (one.pid, one.tid, one.place) == (100, 12, "thread pool crawl")
    assert one.evidence == ("pools", "threads")
    assert one.detail == "thread pool crawl: its only thread"
    assert [(i.name, i.where, i.count) for i in one.items] == [
        ("save", "/app/jobs.py:0", 1),
        ("load", "/app/jobs.py:1", 1),
        ("", None, 1),
    ]


def test_items_are_known_by_their_place_in_the_queue_at_the_time_of_the_look() -> None:
    events = [*queue((100, 1, 7), (150, 2, 8), (900, 0, 10)), waits(160, "first", "second")]
    (one,) = found(DEFAULT, [waits(50, "before"), *events], BLOCKED)
    named = {i.name: ms(i.start_ns) for i in one.items}
    assert named == {"first": 150, "second": 150}


def test_work_that_keeps_coming_is_no_starvation_where_its_owner_waits_for_it() -> None:
    coming = [*queue((100, 1, 0), (300, 2, 0), (600, 3, 0), (900, 0, 3)), waits(160, "slow")]
    waiting = stack("<module>@/app/main.py:9 > other@lib/concurrent/futures/_base.py:305")
    for shown, from_ms, episodes in (
        (BATCH, 100, 0),
        (BATCH, 500, 0),
        (BATCH, 501, 1),  # for less than half of the time
        (waiting, 100, 1),
        (stack("<module>@/app/main.py:9 > wait@/app/main.py:3"), 100, 1),
    ):
        did = dict(BLOCKED) | {1: [(from_ms, 2_000, shown, WAITS)]}
        assert len(found(OWN, coming, did)) == episodes, (shown, from_ms)


def test_a_thread_of_the_pool_that_waits_is_not_the_owner_of_the_batch() -> None:
    coming = [*queue((100, 1, 0), (300, 2, 0), (600, 3, 0), (900, 0, 3)), waits(160, "outer")]
    did = {tid: [(0.0, 2_000.0, RESULT, WAITS)] for tid in (11, 12)}
    assert [one.kind.name for one in found(OWN, coming, did, "futex 7")] == ["exhausted-pool"]


@pytest.mark.parametrize(("last", "episodes"), [(500, 0), (501, 1)])
def test_a_batch_comes_within_the_first_half(last: float, episodes: int) -> None:
    coming = queue((100, 1, 0), (last, 2, 0), (900, 0, 2))
    assert len(found(OWN, [*coming, waits(160, "slow")], BLOCKED)) == episodes


@pytest.mark.parametrize(("until", "episodes"), [(500, 1), (501, 0)])
def test_a_thread_that_idles_for_more_than_half_was_there_for_the_work(
    until: float, episodes: int
) -> None:
    did = {
        11: [(0.0, 2_000.0, SLOW, SLEEPS)],
        12: [(0.0, until, WORKER, IDLE), (until, 2_000.0, SLOW, SLEEPS)],
    }
    assert len(found(DEFAULT, [*STUCK, waits(160, "lookup")], did)) == episodes


@pytest.mark.parametrize(("computes", "kind"), [(400, "exhausted-pool"), (401, "overloaded-pool")])
def test_a_pool_is_exhausted_by_calls_that_take_half_of_the_time(
    computes: float, kind: str
) -> None:
    mixed = [(0.0, 100 + computes, SLOW, COMPUTES), (100 + computes, 2_000.0, SLOW, SLEEPS)]
    did = {11: [(0.0, 2_000.0, SLOW, SLEEPS)], 12: mixed}
    (one,) = found(DEFAULT, [*STUCK, waits(160, "lookup")], did)
    assert one.kind.name == kind


@pytest.mark.parametrize(("end", "kind"), [(199, None), (200, "exhausted-pool")])
def test_a_queue_stands_still_from_the_least_stall_on(end: float, kind: str | None) -> None:
    events = [*queue((100, 1, 0), (end, 0, 1)), waits(110, "lookup")]
    assert [one.kind.name for one in found(DEFAULT, events, BLOCKED)] == ([kind] if kind else [])


def test_without_kernel_states_nothing_is_known_of_the_cpu() -> None:
    events = [PoolEvent(at(0), POOL, info=DEFAULT), *STUCK]
    done = {tid: activities(*(activity(*one) for one in BLOCKED[tid])) for tid in BLOCKED}
    record = worker(pools=tuple(events))
    (pool,) = pools.find(record, done, at(2_000), 100_000_000)
    assert list(pool_episodes.find(pool, record, done, 100_000_000)) == []


def test_each_pool_has_its_own_queue_and_what_waits_when_the_worker_ends_waited_until_then() -> (
    None
):
    events = [
        PoolEvent(at(0), 1, info=DEFAULT),  # was never given anything
        PoolEvent(at(0), 2, queue=(5, 0)),  # of which nothing is known
        PoolEvent(at(0), 3, info=OWN),
        PoolEvent(at(0), 4, info=DEFAULT),
        PoolEvent(at(100), 3, queue=(2, 0)),
        PoolEvent(at(300), 4, queue=(1, 9)),
    ]
    done = {tid: activities(*(activity(*one) for one in BLOCKED[tid])) for tid in BLOCKED}
    record = worker(pools=tuple(events))
    for gone, end, until in ((None, 700, 700), (600, 700, 600), (800, 700, 700)):
        ended = replace(record, gone_ns=None if gone is None else at(gone))
        first, second = pools.find(ended, done, at(end), 100_000_000)
        assert (first.info, second.info) == (OWN, DEFAULT)
        assert [(w.count, ms(w.start_ns), ms(w.end_ns)) for w in first.late] == [(2, 100, until)]
        assert [(w.count, ms(w.start_ns), ms(w.end_ns)) for w in second.late] == [(1, 300, until)]


GET = WORKER + stack(
    "_WorkItem.run@lib/concurrent/futures/thread.py:58 > Queue.get@lib/queue.py:171"
    " > Condition.wait@lib/threading.py:327"
)


def blamed(event: PoolEvent, shown: Stack) -> str | None:
    """The function that is blamed where two threads showed that stack."""
    did = {tid: [(0.0, 2_000.0, shown, Wait(WaitKind.QUEUE, None, "futex"))] for tid in (11, 12)}
    (one,) = found(DEFAULT, [*STUCK, event], did)
    (finding,) = findings.judge([one], {}, 2.0)
    return None if finding.blame is None else finding.blame.function


def test_a_library_function_is_blamed_where_tasks_await_it() -> None:
    told = waits(160, "len", awaited=("listen", "listen", "other"))
    assert blamed(told, GET) == "listen"
    assert blamed(told, SLOW) == "slow"


def test_what_waits_is_not_taken_for_what_runs() -> None:
    written_in_c = PoolEvent(at(160), POOL, waits=PoolWaits((("sleep", None),), ()))
    assert blamed(written_in_c, WORKER) == "sleep"
    assert blamed(written_in_c, GET) == "Queue.get"
