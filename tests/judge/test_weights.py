"""Weights of activities: how long each starved something, and how many waited meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import (
    GIL_WORD,
    HANDLER,
    HEAP_WORD,
    MS,
    PARKED,
    POLL,
    Span,
    activities,
    activity,
    apart,
    at,
    collected,
    dump,
    ms,
    opened,
    ready,
    recording,
    stack,
    states,
    worker,
)
from tests.examples.loop_examples import HOLDER, NAP, POOL, blocked
from waitspy.judge.analysis import analyse
from waitspy.judge.episode import Item, Starvation
from waitspy.judge.wait_for import Chains
from waitspy.judge.weights import weigh
from waitspy.model.activities import Activity, ThreadActivity
from waitspy.model.epolls import EpollEvents
from waitspy.model.judged import Analysis
from waitspy.model.kinds import BLOCKED_LOOP
from waitspy.model.pools import PoolEvent, PoolInfo
from waitspy.model.processes import ThreadKey
from waitspy.model.waits import Wait, WaitKind

END = 10_000
NO_CHAINS = Chains((), {}, {}, {})
HELD = (ThreadKey(100, 1), ThreadKey(100, 2), ThreadKey(200, 1))
SLEEP = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")


def thread(analysis: Analysis, tid: int) -> ThreadActivity:
    return next(t for t in analysis.threads if t.tid == tid)


def lengths(activities: Sequence[Activity]) -> int:
    return sum(a.end_ns - a.start_ns for a in activities)


def starvation(
    start: float, end: float, *held_by: ThreadKey, waiting: int = 1, latent: bool = False
) -> Starvation:
    """An episode in which that many items waited all the time, with the threads that starved it."""
    item = Item("task", "t", None, at(start), at(end), count=waiting)
    return Starvation(
        kind=BLOCKED_LOOP,
        verdict="latent" if latent else "starving",
        pid=100,
        tid=1,
        place="epoll descriptor 5",
        start_ns=at(start),
        end_ns=at(end),
        held_by=dict.fromkeys(held_by, ()),
        base=None,
        evidence=("threads",),
        items=(item,),
    )


def weighed(
    *found: Starvation, rows: Sequence[Activity] = (activity(0, 1_000, HANDLER, SLEEP),)
) -> dict[ThreadKey, list[tuple[float, float, float, float]]]:
    """Bounds and both weights (milliseconds) of what three threads did, who all did the same."""
    done = weigh({key: activities(*rows) for key in HELD}, found, NO_CHAINS, {})
    assert done.roots == ()
    for mine in done.activities.values():
        assert all(a.root_ns == a.starved_ns for a in mine)
    return {
        key: [(ms(a.start_ns), ms(a.end_ns), a.starved_ns / MS, a.victim_ns / MS) for a in mine]
        for key, mine in done.activities.items()
    }


# --- one episode or several -------------------------------------------------------------------


def test_starved_time_is_divided_among_those_who_starved_it_together() -> None:
    found = weighed(starvation(200, 800, *HELD, waiting=2))
    assert found == {
        key: [(0, 200, 0, 0), (200, 800, 200, 400), (800, 1_000, 0, 0)] for key in HELD
    }


def test_who_starves_nothing_keeps_its_activities() -> None:
    found = weighed(starvation(200, 800, HELD[0]))
    assert found[HELD[0]] == [(0, 200, 0, 0), (200, 800, 600, 600), (800, 1_000, 0, 0)]
    assert found[HELD[1]] == found[HELD[2]] == [(0, 1_000, 0, 0)]


def test_of_two_episodes_at_once_the_time_counts_once_and_the_victims_of_both() -> None:
    found = weighed(
        starvation(200, 800, HELD[0], waiting=3), starvation(400, 600, *HELD[:2], waiting=4)
    )
    assert found[HELD[0]] == [
        (0, 200, 0, 0),
        (200, 400, 200, 600),
        (400, 600, 200, 600 + 400),
        (600, 800, 200, 600),
        (800, 1_000, 0, 0),
    ]
    assert found[HELD[1]] == [(0, 400, 0, 0), (400, 600, 100, 400), (600, 1_000, 0, 0)]


def test_a_latent_episode_weighs_nothing() -> None:
    assert weighed(starvation(200, 800, HELD[0], latent=True)) == weighed()


def test_waiting_for_work_holds_nobody_up() -> None:
    idle, polls = Wait(WaitKind.POOL_IDLE), Wait(WaitKind.LOOP_POLL, None, "epoll_wait")
    rows = [activity(0, 300, PARKED, idle), activity(300, 600, POLL, polls)]
    rows.append(activity(700, 1_000, HANDLER, SLEEP))
    found = weighed(starvation(0, 1_000, HELD[0]), rows=rows)
    assert found[HELD[0]] == [(0, 300, 0, 0), (300, 600, 0, 0), (700, 1_000, 300, 300)]


EPISODES = st.lists(
    st.builds(
        lambda start, length, keys, waiting: starvation(
            start, start + length, *keys, waiting=waiting
        ),
        st.integers(0, 1_000),
        st.integers(1, 400),
        st.lists(st.sampled_from(HELD), min_size=1, unique=True),
        st.integers(1, 3),
    ),
    max_size=4,
)
SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 200)), max_size=6).map(apart)


@given(SPANS, EPISODES)
def test_weights_are_those_of_each_millisecond(
    spans: list[Span], episodes: list[Starvation]
) -> None:
    rows = [activity(start, end, HANDLER, SLEEP) for start, end in spans]
    found = weigh(dict.fromkeys(HELD, activities(*rows)), episodes, NO_CHAINS, {})
    for key, mine in found.activities.items():
        held = [s for s in episodes if key in s.held_by]
        assert [(a.start_ns, a.end_ns) for a in mine] == [
            (a, b)
            for start, end in spans
            for a, b in pairwise(
                sorted(
                    {at(start), at(end)}
                    | {t for s in held for t in (s.start_ns, s.end_ns) if at(start) < t < at(end)}
                )
            )
        ]
        for one in mine:
            here = [s for s in held if s.start_ns <= one.start_ns and one.end_ns <= s.end_ns]
            length_ns = one.end_ns - one.start_ns
            assert one.starved_ns == max((length_ns // len(s.held_by) for s in here), default=0)
            assert one.victim_ns == sum(length_ns * s.waiting // len(s.held_by) for s in here)


# --- weights ----------------------------------------------------------------------------------------


def test_starved_and_victim_time_add_up_to_the_episode() -> None:
    mine = thread(analyse(recording(blocked())), 100).activities
    assert sum(a.starved_ns for a in mine) == 500 * MS
    assert sum(a.victim_ns for a in mine) == 3 * 500 * MS
    assert lengths(mine) == END * MS
    assert {a.stack for a in mine if a.starved_ns} == {HANDLER}


def test_activities_are_cut_at_the_bounds_of_the_episode() -> None:
    mine = thread(analyse(recording(blocked())), 100).activities
    assert all(a.starved_ns in {0, a.end_ns - a.start_ns} for a in mine)
    sleeping = [a for a in mine if a.wait.kind is WaitKind.SLEEP]
    assert [(a.start_ns, a.end_ns, a.starved_ns > 0) for a in sleeping] == [
        (at(1_001), at(1_100), False),
        (at(1_100), at(1_599), True),
    ]


def test_other_threads_and_latent_waits_weigh_nothing() -> None:
    analysis = analyse(recording(blocked()))
    assert not any(a.starved_ns or a.victim_ns for a in thread(analysis, 150).activities)
    latent = replace(blocked(), epolls=EpollEvents.of([opened(0, 5, 1)]))
    judged = analyse(recording(latent))
    assert [f.verdict for f in judged.report.findings] == ["latent"]
    assert not any(a.starved_ns for t in judged.threads for a in t.activities)


def test_the_gils_holder_carries_the_weight() -> None:
    record = worker(
        shown={
            100: [(0, 1_000, POLL), (1_000, 1_600, HANDLER), (1_600, END, POLL)],
            150: [(0, END, HOLDER)],
        },
        kernel={
            100: states((0, "epoll_wait 5"), (1_000, f"futex {GIL_WORD}"), (1_600, "epoll_wait 5")),
            150: states((0, "run")),
        },
        epolls=[opened(0, 5, 1), ready(1_010, 5), collected(1_600, 5)],
        dumps=(dump(1_100, {100: HANDLER, 150: HOLDER}, gil_tid=150),),
    )
    analysis = analyse(recording(record))
    (finding,) = analysis.report.findings
    assert (finding.kind.name, finding.threads) == ("gil-bound", (150,))
    assert finding.blame is not None
    assert finding.blame.function == "crunch"
    assert sum(a.starved_ns for a in thread(analysis, 150).activities) == 590 * MS
    assert sum(a.starved_ns for a in thread(analysis, 100).activities) == 0


def test_a_thread_that_parks_two_loops_starves_both_at_once() -> None:
    """Two loops of one parked thread: its time counts once, the victims of both count."""
    idle = (0, "epoll_wait 5"), (100, "epoll_wait 9"), (200, f"futex {HEAP_WORD}"), (2_000, "run")
    record = worker(
        shown={100: [(0, 200, POLL), (200, 2_000, PARKED), (2_000, END, POLL)]},
        kernel={100: states(*idle, (2_001, "epoll_wait 5"), (2_100, "epoll_wait 9"))},
        epolls=[
            opened(0, 5, 1), opened(0, 9, 2),
            ready(1_000, 5), ready(1_500, 9), collected(2_000, 5), collected(2_000, 9),
        ],
    )  # fmt: skip
    analysis = analyse(recording(record))
    assert {f.kind.name for f in analysis.report.findings} == {"parked-loop"}
    mine = thread(analysis, 100).activities
    assert sum(a.starved_ns for a in mine) == 1_000 * MS
    assert sum(a.victim_ns for a in mine) == 1_500 * MS


def test_threads_that_starve_a_pool_together_share_what_it_was_starved() -> None:
    job = POOL + stack("job@/app/jobs.py:3")
    info = PoolInfo("executor", "asyncio", "default executor", 2, (11, 12))
    queue = [PoolEvent(at(0), 7, info=info), PoolEvent(at(0), 7, queue=(0, 2))]
    queue += [PoolEvent(at(1_000), 7, queue=(3, 2)), PoolEvent(at(1_800), 7, queue=(0, 5))]
    record = worker(
        shown={tid: [(0, END, job)] for tid in (11, 12)},
        kernel={tid: states((0, NAP)) for tid in (11, 12)},
        pools=tuple(queue),
    )
    analysis = analyse(recording(record))
    assert [f.kind.name for f in analysis.report.findings] == ["exhausted-pool"]
    for tid in (11, 12):
        mine = thread(analysis, tid).activities
        assert sum(a.starved_ns for a in mine) == 400 * MS
        assert sum(a.victim_ns for a in mine) == 3 * 400 * MS
