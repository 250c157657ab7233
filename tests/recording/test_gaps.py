"""Times at which nobody looked: what gets a row there, and what is known all the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import Span, apart, at, ms, states, worker
from waitspy.model.loops import LoopEvent, LoopInfo
from waitspy.model.pools import PoolEvent
from waitspy.model.recorded import WorkerRecord
from waitspy.model.threads import NOT_LOOKED, KernelState, KernelStates
from waitspy.recording.gaps import settle

GAP = (at(100), at(400))
POOL, LOOP = 7, 9
RAN = states((0, "futex 7"), (400, "futex 7"))
STOOD = states((0, "futex 7"))
UNSEEN = KernelState(at(100), NOT_LOOKED)


def queue(at_ms: float, queued: int, taken: int, pool: int = POOL) -> PoolEvent:
    return PoolEvent(at(at_ms), pool, queue=(queued, taken))


def runs(at_ms: float, owner: int | None = 1, loop: int = LOOP) -> LoopEvent:
    return LoopEvent(at(at_ms), loop, facts=LoopInfo("asyncio", 5, owner, "running", False))


def unseen_loops(record: WorkerRecord) -> list[tuple[float, int]]:
    return [(ms(event.at_ns), event.loop) for event in record.loops if event.unseen]


# --- threads ----------------------------------------------------------------------------------


def test_a_thread_that_ran_in_the_gap_is_said_not_to_be_looked_at() -> None:
    record = settle(worker(kernel={1: RAN}), [GAP])
    assert record.states[1] == [RAN[0], UNSEEN, RAN[1]]
    assert record.states[1].unseen == [GAP]


def test_a_thread_that_stood_still_has_no_such_row() -> None:
    same = [KernelState(at(0), "S", 202, 7, 50, 0), KernelState(at(400), "S", 202, 7, 50, 3)]
    record = settle(worker(kernel={1: STOOD, 2: same}), [GAP])
    assert record.states == {1: STOOD, 2: same}


def test_without_its_time_on_the_cpu_a_thread_that_changed_may_have_run() -> None:
    blind = states((0, "futex 7"), (400, "futex 8"), schedstat=False)
    record = settle(worker(kernel={1: blind}), [GAP])
    assert record.states[1] == [blind[0], UNSEEN, blind[1]]


def test_a_thread_that_ended_in_the_gap_may_have_run_before() -> None:
    ended = states((0, "futex 7"), (400, "gone"))
    assert settle(worker(kernel={1: ended}), [GAP]).states[1] == [ended[0], UNSEEN, ended[1]]


def test_nothing_is_said_of_a_thread_that_appeared_after_the_gap() -> None:
    record = settle(worker(kernel={1: states((400, "run"), (500, "futex 7"))}), [GAP])
    assert record.states[1].unseen == []


def test_what_happens_right_before_and_after_a_gap_is_no_part_of_it() -> None:
    around = states((0, "futex 7"), (100, "run"), (401, "futex 7"))
    assert settle(worker(kernel={1: around}), [GAP]).states[1] == around


def test_each_gap_has_its_own_row() -> None:
    rows = states((0, "futex 7"), (400, "futex 7"), (500, "futex 7"), (900, "futex 7"))
    record = settle(worker(kernel={1: rows}), [GAP, (at(420), at(450)), (at(600), at(900))])
    assert record.states[1].unseen == [GAP, (at(600), at(900))]


# --- the worker -------------------------------------------------------------------------------


def test_without_gaps_nothing_changes() -> None:
    record = worker(kernel={1: RAN}, loops=(runs(0),), pools=(queue(0, 1, 0),))
    assert settle(record, []) is record


@pytest.mark.parametrize("more", [{"attached_ns": at(400)}, {"gone_ns": at(100)}])
def test_a_gap_in_which_it_was_not_there_is_not_its_own(more: dict[str, int]) -> None:
    known = {"attached_ns": at(0)} | more
    made = worker(kernel={1: RAN})
    record = WorkerRecord(made.worker, states=made.states, **known)  # type: ignore[arg-type]
    assert settle(record, [GAP]) is record


def test_the_worker_knows_its_gaps() -> None:
    later = (at(700), at(800))
    record = worker(kernel={1: STOOD}, gone_ns=at(600))
    assert settle(record, [GAP, later]).gaps == (GAP,)


# --- loops ------------------------------------------------------------------------------------


def test_a_loop_whose_thread_ran_may_have_served() -> None:
    record = settle(worker(kernel={1: RAN}, loops=(runs(0), runs(450))), [GAP])
    assert record.loops == (runs(0), LoopEvent(at(100), LOOP, unseen=True), runs(450))


def test_a_loop_whose_thread_stood_still_served_nothing() -> None:
    record = settle(worker(kernel={1: STOOD, 2: RAN}, loops=(runs(0),)), [GAP])
    assert record.loops == (runs(0),)


@pytest.mark.parametrize("owner", [None, 8])
def test_a_loop_whose_thread_is_not_known_may_have_served(owner: int | None) -> None:
    record = settle(worker(kernel={1: STOOD}, loops=(runs(0, owner),)), [GAP])
    assert unseen_loops(record) == [(100, LOOP)]


def test_the_owner_that_counts_is_the_last_one_told_before_the_gap() -> None:
    kernel = {1: RAN, 2: STOOD}
    moved = settle(worker(kernel=kernel, loops=(runs(0, 1), runs(50, 2), runs(500, 1))), [GAP])
    assert unseen_loops(moved) == []
    other = settle(worker(kernel=kernel, loops=(runs(0, 2), runs(50, 1), runs(500, 2))), [GAP])
    assert unseen_loops(other) == [(100, LOOP)]


def test_a_loop_that_was_found_after_the_gap_is_not_in_it() -> None:
    assert unseen_loops(settle(worker(kernel={1: RAN}, loops=(runs(400),)), [GAP])) == []


def counted(at_ms: float, ready: int, handed_out: int, loop: int = LOOP) -> LoopEvent:
    """A queue of that length, which has handed out so many callbacks: all that is done counts."""
    return LoopEvent(at(at_ms), loop, service=(ready, ready + 2 * handed_out))


@pytest.mark.parametrize(
    "after",
    [
        [counted(400, 3, 7)],  # more came, none went
        [counted(400, 3, 7), counted(410, 0, 10)],
        [counted(460, 0, 8)],  # nothing had changed at the look that ended the gap
        [LoopEvent(at(400), LOOP, service=(0, 15))],  # read while one was put in
        [],
    ],
)
def test_a_loop_that_handed_out_nothing_served_nothing_though_its_thread_ran(
    after: list[LoopEvent],
) -> None:
    loops = (runs(0), counted(90, 0, 7), *after)
    assert settle(worker(kernel={1: RAN}, loops=loops), [GAP]).loops == loops


@pytest.mark.parametrize(
    "loops",
    [
        [counted(90, 0, 7), counted(400, 0, 8)],
        [counted(90, 2, 7), counted(400, 3, 8)],
        [counted(90, 0, 7), counted(440, 0, 8)],  # it may not have been read at once
        [counted(400, 0, 7)],  # not known before
        [counted(90, 0, 7, 8), counted(400, 0, 7, 8)],  # another one's
    ],
)
def test_a_loop_that_handed_out_something_or_may_have_was_not_seen(loops: list[LoopEvent]) -> None:
    record = settle(worker(kernel={1: RAN}, loops=(runs(0), *loops)), [GAP])
    assert unseen_loops(record) == [(100, LOOP)]


@pytest.mark.parametrize(
    ("late", "unseen"),
    [
        ([counted(600, 0, 12)], [(100, LOOP), (400, LOOP)]),  # read so late in the look at 400
        ([counted(900, 0, 12)], [(100, LOOP), (400, LOOP)]),
        ([counted(400, 3, 7), counted(900, 0, 12)], [(400, LOOP)]),
        ([counted(600, 3, 7)], []),
        ([counted(1_000, 0, 12)], []),
    ],
)
def test_gaps_that_follow_upon_each_other_are_known_by_the_end_of_the_last_one(
    late: list[LoopEvent], unseen: list[tuple[float, int]]
) -> None:
    ran = states((0, "futex 7"), (400, "futex 7"), (900, "futex 7"))
    loops = (runs(0), counted(50, 3, 7), *late)
    record = settle(worker(kernel={1: ran}, loops=loops), [GAP, (at(400), at(900))])
    assert unseen_loops(record) == unseen


def test_uvloop_serves_io_without_its_queue() -> None:
    facts = LoopInfo("uvloop", 5, 1, "running", False)
    loops = (LoopEvent(at(0), LOOP, facts=facts), counted(90, 0, 7), counted(400, 3, 7))
    assert unseen_loops(settle(worker(kernel={1: RAN}, loops=loops), [GAP])) == [(100, LOOP)]


# --- pools ------------------------------------------------------------------------------------


TAKEN = queue(400, 3, 6)


@pytest.mark.parametrize("after_ms", [400, 440])
def test_a_pool_from_which_items_were_taken_was_not_seen_meanwhile(after_ms: float) -> None:
    after = queue(after_ms, 1, 7)
    record = settle(worker(kernel={1: RAN}, pools=(queue(50, 2, 5), after)), [GAP])
    assert record.pools == (queue(50, 2, 5), PoolEvent(at(100), POOL, unseen=True), after)


@pytest.mark.parametrize("after", [queue(400, 4, 5), queue(600, 1, 7)])
def test_a_pool_from_which_nothing_was_taken_kept_waiting(after: PoolEvent) -> None:
    pools = (queue(50, 2, 5), after)
    assert settle(worker(kernel={1: RAN}, pools=pools), [GAP]).pools == pools


def test_each_pool_is_its_own() -> None:
    pools = (queue(50, 2, 5), queue(50, 1, 0, 8), TAKEN, queue(400, 2, 0, 8))
    record = settle(worker(kernel={1: RAN}, pools=pools), [GAP])
    assert [e.pool for e in record.pools if e.unseen] == [POOL]


def test_a_pool_of_a_process_that_stood_still_kept_its_queue() -> None:
    pools = (queue(50, 2, 5), TAKEN)
    assert settle(worker(kernel={1: STOOD}, pools=pools), [GAP]).pools == pools


def test_any_thread_that_ran_may_have_taken_something() -> None:
    for kernel in ({1: STOOD, 2: RAN}, {}):
        record = settle(worker(kernel=kernel, pools=(queue(50, 2, 5), TAKEN)), [GAP])
        assert any(event.unseen for event in record.pools)


# --- properties -------------------------------------------------------------------------------

GAPS = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), max_size=4).map(apart)
TIMES = st.integers(0, 400)
ROWS = st.dictionaries(
    st.sampled_from([1, 2]),
    st.lists(st.tuples(TIMES, st.integers(0, 3)), min_size=1, max_size=8),
    max_size=2,
)
QUEUES = st.lists(st.builds(queue, TIMES, st.just(1), st.just(0), st.sampled_from([7, 8])))
LOOPS = st.lists(st.builds(runs, TIMES, st.sampled_from([None, 1, 2]), st.sampled_from([5, 6])))


@given(GAPS, ROWS, QUEUES, LOOPS)
def test_rows_are_added_in_their_order_and_none_is_lost(
    gaps: list[Span],
    rows: dict[int, list[tuple[int, int]]],
    pools: list[PoolEvent],
    loops: list[LoopEvent],
) -> None:
    kernel = {
        tid: [
            KernelState(at(when), "S", 202, 7, ran_ns, 0)
            for (when, _), ran_ns in zip(sorted(mine), sorted(n for _, n in mine), strict=True)
        ]
        for tid, mine in rows.items()
    }
    pools.sort(key=lambda event: event.at_ns)
    loops.sort(key=lambda event: event.at_ns)
    before = worker(kernel=kernel, pools=tuple(pools), loops=tuple(loops))
    spans = [(at(start), at(end)) for start, end in gaps]
    record = settle(before, spans)
    starts = {start for start, _ in spans}
    for times in (
        [event.at_ns for event in record.pools],
        [event.at_ns for event in record.loops],
        *([row.at_ns for row in own] for own in record.states.values()),
    ):
        assert times == sorted(times)
    assert {event.at_ns for event in record.pools if event.unseen} <= starts
    assert {event.at_ns for event in record.loops if event.unseen} <= starts
    assert [e for e in record.loops if not e.unseen] == loops
    told = [e for e in record.pools if not e.unseen]
    assert [e for e in told if e in pools or e.at_ns not in {end for _, end in spans}] == pools
    for tid, own in record.states.items():
        assert [row for row in own if row.state != NOT_LOOKED] == kernel[tid]
        assert {start for start, _ in own.unseen} <= starts
        expected = [
            (start, end)
            for start, end in spans
            if (known := [row.ran_ns for row in kernel[tid] if row.at_ns <= end])
            and (held := [row.ran_ns for row in kernel[tid] if row.at_ns <= start])
            and known[-1] != held[-1]
        ]
        assert [start for start, _ in own.unseen] == [start for start, _ in expected]


def test_states_are_columns_still() -> None:
    record = settle(worker(kernel={1: RAN}), [GAP])
    assert isinstance(record.states[1], KernelStates)
