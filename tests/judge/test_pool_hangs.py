"""Pools that hang, and what is blamed where a pool was given a library's function."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.examples.build import at, ms, stack
from tests.examples.pool_examples import (
    AT_CALL,
    BATCH,
    BLOCKED,
    COMPUTES,
    DEFAULT,
    DJANGO,
    LIMITER,
    OWN,
    POOL,
    SLEEPS,
    SLOW,
    STUCK,
    WAITS,
    WORKER,
    found,
    queue,
    waits,
)
from waitspy.judge import findings
from waitspy.judge.blame import C_CALLBACK
from waitspy.model.pools import PoolEvent, PoolInfo, PoolKind, PoolWaits
from waitspy.model.stacks import Stack

# --- hangs ------------------------------------------------------------------------------------------

HANG = [*queue((0, 7, 0)), waits(200, *["slow"] * 7)]


def test_a_hang_that_is_older_than_the_recording_is_no_batch() -> None:
    (one,) = found(OWN, HANG, BLOCKED)
    assert (one.kind.name, ms(one.start_ns), ms(one.end_ns)) == ("exhausted-pool", 0, 2_000)
    assert (one.waiting, one.served) == (7, 0)


def test_a_hang_is_told_from_a_batch_by_its_length() -> None:
    assert found(OWN, HANG, BLOCKED, end=1_990) == []
    moves = [*queue((0, 7, 0), (1_000, 5, 2)), waits(200, *["slow"] * 7)]
    assert found(OWN, moves, BLOCKED) == []


def test_long_jobs_that_somebody_waits_for_are_no_hang() -> None:
    for shown in (
        BATCH,
        stack("<module>@/app/main.py:9 > Future.result@lib/concurrent/futures/_base.py:451"),
    ):
        assert found(OWN, HANG, {**BLOCKED, 1: [(0, 2_000, shown, WAITS)]}) == []


def test_callers_that_wait_for_one_job_each_are_no_owner_of_a_batch() -> None:
    result = stack("call@/app/main.py:9 > Future.result@lib/concurrent/futures/_base.py:451")
    callers = {tid: [(0, 2_000, result, WAITS)] for tid in (1, 2)}
    assert [s.kind.name for s in found(OWN, HANG, {**BLOCKED, **callers})] == ["exhausted-pool"]


def test_a_pool_that_computes_for_long_does_not_hang() -> None:
    computing = {tid: [(0, 2_000, SLOW, COMPUTES)] for tid in (11, 12)}
    assert found(OWN, HANG, computing, "run") == []


@pytest.mark.parametrize(
    "runs",
    [
        "ThreadWorker.handle@site/gunicorn/workers/gthread.py:297",
        "_unary_response_in_pool@site/grpc/_server.py:620",
    ],
)
def test_a_servers_request_threads_are_shared(runs: str) -> None:
    request = WORKER + stack(
        f"_WorkItem.run@lib/concurrent/futures/thread.py:58 > {runs} > slow@/app/jobs.py:5"
    )
    did = {tid: [(0, 2_000, request, SLEEPS)] for tid in (11, 12)}
    (one,) = found(OWN, [*STUCK, waits(160, "slow")], did)
    assert (one.kind.name, one.pool) == ("exhausted-pool", PoolKind.SERVER)
    assert one.detail == "the server's request threads: all 2 threads"
    assert found(OWN, [*STUCK, waits(160, "slow")], BLOCKED) == []


# --- a pool that was given a library's function -----------------------------------------------------

RUN = WORKER + stack("_WorkItem.run@lib/concurrent/futures/thread.py:58")
GETS = RUN + stack("Queue.get@lib/queue.py:171 > Condition.wait@lib/threading.py:327")
REQUESTS = RUN + stack("get@site/requests/api.py:73 > readinto@lib/socket.py:720")
CALLER = stack("job@/app/main.py:9 > Future.result@lib/concurrent/futures/_base.py:451")


def blamed(
    shown: Stack, *events: PoolEvent, callers: Sequence[Stack] = (), info: PoolInfo = DEFAULT
) -> tuple[str, str | None]:
    """Function and file that such a pool is blamed on."""
    did = {tid: [(0.0, 2_000.0, shown, WAITS)] for tid in (11, 12)}
    did |= {n: [(0.0, 2_000.0, caller, WAITS)] for n, caller in enumerate(callers, 1)}
    (one,) = found(info, events, did, "futex 7")
    (finding,) = findings.judge([one], {}, 2.0)
    assert finding.blame is not None
    return finding.blame.function, finding.blame.file


@pytest.mark.parametrize("shown", [RUN, GETS, REQUESTS], ids=["C", "library", "package"])
def test_who_waits_for_a_librarys_function_is_blamed(shown: Stack) -> None:
    assert blamed(shown, *STUCK, callers=[CALLER, CALLER]) == ("job", "/app/main.py")


def test_code_of_the_program_in_the_pool_comes_before_who_waits_for_it() -> None:
    assert blamed(SLOW, *STUCK, callers=[CALLER, CALLER]) == ("slow", "/app/jobs.py")


def test_a_function_in_c_is_blamed_by_the_name_of_the_work_item() -> None:
    item = PoolWaits((("sleep", None),) * 2, ())
    before = [*queue((100, 2, 0), (450, 3, 2), (900, 0, 5)), PoolEvent(at(160), POOL, waits=item)]
    other = PoolWaits((("save", "/app/jobs.py:1"),), ())
    then = [*before, PoolEvent(at(600), POOL, waits=other)]
    assert blamed(RUN, *then) == ("sleep", None)
    same = [*STUCK, PoolEvent(at(160), POOL, waits=item)]
    assert blamed(RUN, *same) == ("sleep", None)
    mixed = PoolWaits((("sleep", None), ("open", None)), ())
    assert blamed(RUN, *STUCK, PoolEvent(at(160), POOL, waits=mixed)) == (C_CALLBACK, None)


def test_a_batch_of_a_function_in_c_is_no_starvation() -> None:
    did = {tid: [(0.0, 2_000.0, RUN, SLEEPS)] for tid in (11, 12)}
    assert found(OWN, [*queue((100, 9, 0), (900, 0, 9)), waits(160, "sleep")], did) == []


def test_a_package_that_nobody_is_seen_to_wait_for_is_blamed_itself() -> None:
    item = PoolEvent(at(160), POOL, waits=PoolWaits((("get", None),), ()))
    function, file = blamed(REQUESTS, *STUCK, item)
    assert (function, str(file).endswith("requests/api.py")) == ("get", True)


def test_what_starts_a_pools_work_is_never_blamed() -> None:
    events = [*STUCK, waits(160, "handle")]
    assert blamed(AT_CALL, *events, info=LIMITER) == (C_CALLBACK, None)
    handler = RUN + stack("SyncToAsync.thread_handler@site/asgiref/sync.py:522")
    assert blamed(handler, *events, info=DJANGO) == (C_CALLBACK, None)
