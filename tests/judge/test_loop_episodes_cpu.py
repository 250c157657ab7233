"""Episodes in which the CPU or the GIL decides: busy loops, and loops that got neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.examples.build import (
    GIL_WORD,
    HANDLER,
    MS,
    POLL,
    at,
    collected,
    dump,
    ms,
    ready,
    sock,
    stack,
    states,
    unread,
    with_gil,
    worker,
)
from tests.examples.loop_examples import (
    END,
    FUTEX,
    GIL,
    HOLDER,
    NAP,
    OPEN,
    SPIN,
    looked,
    one_callback,
    starvations,
    told,
)
from waitspy.judge import blame
from waitspy.judge.episode import Starvation
from waitspy.judge.thread_time import Composition, compose
from waitspy.model.epolls import EpollEvent
from waitspy.model.loops import LateTimer, LoopEvent, LoopEvents, LoopInfo, LoopWork
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.threads import NO_STATES, KernelState, KernelStates

# --- composition ------------------------------------------------------------------------------------


def test_composition_follows_schedstat() -> None:
    rows = states((0, "run"), (300, "queue"), (500, "stop"), (600, FUTEX), (1_000, "run"))
    spent = compose(rows, at(0), at(1_000))
    assert spent.ran_ns == 300 * MS + 20_000  # and the waking up from the futex
    assert spent.queued_ns == 200 * MS
    assert spent.stopped_ns == 100 * MS
    assert spent.blocked_ns == 400 * MS - 20_000


def test_runnable_is_not_on_the_cpu() -> None:
    rows = states((0, "queue"), (500, "queue"), (800, "run"))
    assert compose(rows, at(0), at(800)) == Composition(0, 800 * MS, 0, 0)


def test_composition_is_cut_to_the_span() -> None:
    rows = states((0, FUTEX), (1_000, "stop"), (2_000, "run"))
    spent = compose(rows, at(900), at(1_200))
    assert spent.blocked_ns + spent.ran_ns == 100 * MS
    assert spent.stopped_ns == 200 * MS


def test_unknown_time_is_left_out() -> None:
    rows = states((500, FUTEX), (700, "gone"))
    spent = compose(rows, at(0), at(1_000))
    assert spent.ran_ns + spent.blocked_ns == 200 * MS
    assert compose(NO_STATES, at(0), at(1_000)) == Composition(0, 0, 0, 0)


def test_a_thread_that_happens_to_run_at_every_look_was_not_queued_in_between() -> None:
    """Short calls that block, one after the other: what the kernel credited as delay decides."""
    rows = [KernelState(at(10 * n), "R", None, None, 2 * n * MS, n * MS) for n in range(31)]
    assert compose(KernelStates.of(rows), at(0), at(300)) == Composition(
        60 * MS, 30 * MS, 0, 210 * MS
    )


def test_a_delay_that_is_not_credited_yet_counts() -> None:
    rows = [KernelState(at(10 * n), "R", None, None, 2 * n * MS, n * MS) for n in range(11)]
    rows += [replace(rows[-1], at_ns=at(200))]
    assert compose(KernelStates.of(rows), at(0), at(300)) == Composition(
        20 * MS, 210 * MS, 0, 70 * MS
    )


def test_without_schedstat_the_state_decides() -> None:
    rows = states((0, "run"), (300, FUTEX), (600, "stop"), (900, "run"), schedstat=False)
    assert compose(rows, at(0), at(1_000)) == Composition(400 * MS, 0, 300 * MS, 300 * MS)


def test_the_running_time_after_the_last_row_is_not_known_to_schedstat() -> None:
    # Its gain is credited by the next row; until then nothing is claimed to have run.
    assert compose(states((0, "run")), at(0), at(500)).ran_ns == 0


# --- busy -------------------------------------------------------------------------------------------


def busy(*events: EpollEvent) -> WorkerRecord:
    shown, kernel = one_callback("run", shown=SPIN)
    return worker(
        shown=shown, kernel=kernel, epolls=[OPEN, ready(1_050, 5), *events, collected(1_600, 5)]
    )


def test_a_callback_on_the_cpu_makes_the_loop_busy_when_looks_tell() -> None:
    (found,) = starvations(busy(*looked((1_100, [1]), (1_300, [1]))))
    assert told([found]) == [("busy-loop", 1_050, 1_600)]
    assert blame.blamed(blame.above(found.guilty[0].stack, found.base)) == SPIN[-1]


@pytest.mark.parametrize(("until_ms", "kind"), [(1_400, "gc-pause"), (1_300, "busy-loop")])
def test_a_callback_that_collected_for_most_of_it_is_a_collection(until_ms: int, kind: str) -> None:
    events = (
        LoopEvent(at(0), 7, facts=LoopInfo("asyncio", 5, 1, "running", closed=False)),
        LoopEvent(at(1_110), 7, collecting=True),
        LoopEvent(at(until_ms), 7, collecting=False),
        LoopEvent(at(1_120), 8, collecting=True),
        LoopEvent(at(1_590), 8, collecting=False),
    )
    record = replace(busy(*looked((1_100, [1]), (1_300, [1]))), loops=LoopEvents.of(events))
    (found,) = starvations(record)
    assert found.kind.name == kind


@pytest.mark.parametrize(
    ("rows", "interpreter", "kind"),
    [
        ([(0, 1, False), (1_060, 1, True), (1_200, 2, True), (1_400, 1, False)], 3, "gc-pause"),
        ([(0, 1, False), (1_060, 1, True), (1_300, 1, False)], 3, "busy-loop"),
        ([(0, 1, False), (1_060, 1, True), (1_400, 1, False)], 0, "busy-loop"),
        ([(0, 1, True), (1_100, 2, True)], 3, "busy-loop"),  # always: it says nothing
        ([(0, 1, True), (10, 1, False), (1_100, 2, True)], 3, "gc-pause"),
    ],
    ids=["most of it", "little of it", "another interpreter's", "always", "until the end"],
)
def test_our_own_sampler_sees_collections_as_well(
    rows: list[tuple[float, int, bool]], interpreter: int, kind: str
) -> None:
    facts = LoopInfo("asyncio", 5, 1, "running", closed=False, interpreter=3)
    record = replace(
        busy(*looked((1_100, [1]), (1_300, [1]))),
        loops=LoopEvents.of([LoopEvent(at(0), 7, facts=facts)]),
    )
    (found,) = starvations(with_gil(record, *rows, interpreter=interpreter))
    assert found.kind.name == kind


def test_a_busy_loop_is_not_claimed_without_two_telling_looks() -> None:
    assert starvations(busy()) == []
    assert starvations(busy(*looked((1_100, [1])))) == []
    assert starvations(busy(*looked((1_100, []), (1_300, [])))) == []
    assert starvations(busy(*looked((1_100, [1]), (1_300, [])))) == []
    # A kernel that does not say what was read: an equal size may be new data.
    same = [unread(at_ms, 5, sock(1)) for at_ms in (1_100, 1_300)]
    assert starvations(busy(*same)) == []


def test_a_saturated_but_healthy_loop_is_silent() -> None:
    # Always on the CPU, always something ready, but every look shows that some was served.
    rows = [(1_100.0 + 100 * n, [n, n + 1, n + 2]) for n in range(5)]
    assert starvations(busy(*looked(*rows))) == []
    # So is a keep-alive connection that is answered and asks again, always with as much unread.
    asking = [unread(1_100 + 100 * n, 5, sock(1, 500, read=700 * n)) for n in range(5)]
    assert starvations(busy(*asking)) == []


def test_only_the_stretch_without_service_is_busy() -> None:
    rows: list[tuple[float, Sequence[int]]] = [
        (1_100, [1]),
        (1_150, [2]),
        (1_300, [2]),
        (1_400, [2, 3]),
    ]
    found = starvations(busy(*looked(*rows)))
    assert told(found) == [("busy-loop", 1_150, 1_600)]


def test_a_busy_stretch_shorter_than_min_stall_is_silent() -> None:
    found = starvations(busy(*looked((1_100, [1]), (1_530, [2]), (1_590, [2]))))
    assert told(found) == []


# --- the stretch in which a loop with a counter served nothing --------------------------------------


def served_then(*gap: tuple[float, str], until: float) -> WorkerRecord:
    """90 callbacks of 10 ms each, then one like ``gap``; a timer waits behind them all."""
    events = [
        LoopEvent(at(0), 1, facts=LoopInfo("asyncio", 5, 1, "running", False)),
        LoopEvent(at(0), 1, service=(0, 100)),
        *(LoopEvent(at(1_000 + 10 * n), 1, service=(91 - n, 191 + n)) for n in range(91)),
        LoopEvent(
            at(until - 1), 1, work=LoopWork(0, (), 1, (LateTimer(at(1_000), "beat", None, False),))
        ),
        LoopEvent(at(until), 1, service=(0, 282)),
    ]
    kernel = states((0, "epoll_wait 5"), (1_000, "run"), *gap, (until, "epoll_wait 5"))
    shown = {1: [(0.0, 1_000, POLL), (1_000, 1_900, SPIN), (1_900, until, HANDLER)]}
    return worker(shown=shown, kernel={1: kernel}, epolls=[OPEN], loops=tuple(events))


@pytest.mark.parametrize(
    ("gap", "until", "expected"),
    [
        ([(1_900, NAP)], 2_020, [("blocked-loop", 1_900, 2_020)]),
        ([(1_900, NAP)], 1_999, [("overloaded-loop", 1_000, 1_999)]),
        ([(1_900, GIL)], 2_020, [("gil-bound", 1_900, 2_020)]),
        ([(1_900, "queue")], 2_020, [("no-cpu", 1_900, 2_020)]),
        ([(1_900, "stop")], 2_020, [("no-cpu", 1_900, 2_020)]),
        ([], 2_020, [("busy-loop", 1_000, 2_020)]),
        ([], 1_999, [("overloaded-loop", 1_000, 1_999)]),
        # Neither of them for long enough, or for most of that time.
        ([(1_960, NAP)], 2_015, []),
        ([(1_959, NAP)], 2_020, [("blocked-loop", 1_900, 2_020)]),
        ([(2_050, NAP)], 2_190, [("busy-loop", 1_000, 2_190)]),
        # Half of the CPU, and long enough on it to be the cause itself; a fifth of it is not.
        ([(2_050, "queue")], 2_250, [("busy-loop", 1_000, 2_250)]),
        ([(2_020, "queue"), (2_300, NAP)], 2_550, []),
    ],
    ids=[
        "blocked", "shortly", "gil", "runnable", "stopped", "busy", "busy shortly", "mixed",
        "rather blocked", "rather busy", "shares its CPU", "a fifth",
    ],
)  # fmt: skip
def test_what_the_thread_did_while_nothing_was_served_decides(
    gap: list[tuple[float, str]], until: float, expected: list[tuple[str, float, float]]
) -> None:
    found = [s for s in starvations(served_then(*gap, until=until)) if not s.latent]
    assert told(found) == expected
    for one in found:
        assert "beat" in {item.name for item in one.items} or one.kind.name == "overloaded-loop"
        assert {a.stack for a in one.guilty} <= {SPIN, HANDLER}
        assert bool(one.guilty) == (one.kind.name not in {"no-cpu", "gil-bound"})
        assert (one.base, one.place) == (POLL, "epoll descriptor 5") or one.kind.name == "gil-bound"
        assert one.evidence[0] == "asyncio"


def test_a_stretch_without_a_counter_is_busy_only_where_the_thread_ran() -> None:
    kernel = states((0, "epoll_wait 5"), (1_000, "run"), (1_700, NAP), (2_000, "epoll_wait 5"))
    looks = [*looked((1_100, [1]), (1_200, [2]), (1_560, [3]), (1_800, [3]))]
    record = worker(
        shown={1: [(0.0, 1_000, POLL), (1_000, 2_000, SPIN)]},
        kernel={1: kernel},
        epolls=[OPEN, ready(1_010, 5), *looks, collected(2_000, 5)],
    )
    assert told([s for s in starvations(record) if not s.latent]) == []


# --- no CPU -----------------------------------------------------------------------------------------


def test_a_stopped_process_gets_no_cpu() -> None:
    shown, _ = one_callback("stop")
    kernel = {
        1: states((0, "epoll_wait 5"), (1_000, "stop"), (1_600, "run"), (1_601, "epoll_wait 5"))
    }
    record = worker(shown=shown, kernel=kernel, epolls=[OPEN, ready(1_010, 5), collected(1_601, 5)])
    (found,) = starvations(record)
    assert told([found]) == [("no-cpu", 1_010, 1_601)]
    assert found.guilty == ()


def test_a_runnable_loop_without_a_cpu_gets_no_cpu() -> None:
    shown, _ = one_callback("queue")
    kernel = {
        1: states((0, "epoll_wait 5"), (1_000, "queue"), (1_590, "run"), (1_601, "epoll_wait 5"))
    }
    record = worker(shown=shown, kernel=kernel, epolls=[OPEN, ready(1_010, 5), collected(1_601, 5)])
    assert told(starvations(record)) == [("no-cpu", 1_010, 1_601)]


@pytest.mark.parametrize(("queued_ms", "expected"), [(70, []), (100, [("no-cpu", END - 160, END)])])
def test_what_the_end_of_the_recording_cuts_may_go_on_to_compute(
    queued_ms: float, expected: list[tuple[str, float, float]]
) -> None:
    began = END - 160
    kernel = states((0, "epoll_wait 5"), (began, "queue"), (began + queued_ms, "run"), (END, "run"))
    shown, _ = one_callback("run", began, END, SPIN)
    record = worker(shown=shown, kernel={1: kernel}, epolls=[OPEN, ready(began, 5)])
    assert told(starvations(record)) == expected


def test_a_loop_that_was_stopped_in_its_poll_is_not_blamed_for_it() -> None:
    kernel = {1: states((0, "epoll_wait 5"), (1_000, "stop"), (1_600, "epoll_wait 5"))}
    record = worker(
        shown={1: [(0, END, POLL)]},
        kernel=kernel,
        epolls=[OPEN, ready(1_200, 5), collected(1_600, 5)],
    )
    found = starvations(record)
    assert told(found) == [("no-cpu", 1_200, 1_600)]


def test_a_busy_loop_that_shares_its_cpu_is_still_busy() -> None:
    # Half of the time on the CPU: long enough to be the cause itself.
    kernel: list[tuple[float, str]] = [(0, "epoll_wait 5")]
    for n in range(6):
        kernel += [(1_000 + n * 100, "run"), (1_050 + n * 100, "queue")]
    kernel.append((1_600, "epoll_wait 5"))
    shown, _ = one_callback("run", shown=SPIN)
    epolls = [OPEN, ready(1_010, 5), *looked((1_100, [1]), (1_300, [1])), collected(1_600, 5)]
    record = worker(shown=shown, kernel={1: states(*kernel)}, epolls=epolls)
    assert [kind for kind, _, _ in told(starvations(record))] == ["busy-loop"]


def crowded_out(
    before: Sequence[float],
    after: Sequence[float],
    left: int = 0,
    then: str = "queue",
    until: float = 900,
) -> WorkerRecord:
    """A loop that gets the CPU for a moment only, at 400 ms, and leaves so much in its queue.

    Timers are overdue before and after that, by when they were due.
    """
    events = [
        LoopEvent(at(0), 1, facts=LoopInfo("asyncio", 5, 1, "running", False)),
        LoopEvent(at(0), 1, service=(0, 100)),
        *(
            LoopEvent(at(at_ms), 1, work=LoopWork(0, (), len(late), late))
            for at_ms, due in ((399, before), (until - 10, after))
            for late in [tuple(LateTimer(at(ms), f"{ms:g}", None, False) for ms in due)]
        ),
        LoopEvent(at(400), 1, service=(left, 120 + left)),
        LoopEvent(at(until), 1, service=(0, 140 + 2 * left)),
    ]
    kernel = states(
        (0, "epoll_wait 5"), (190, "queue"), (398, "run"), (400, then), (until, "epoll_wait 5")
    )
    shown = {1: [(0.0, float(END), POLL)]}
    loops = tuple(sorted(events, key=lambda event: event.at_ns))
    return worker(shown=shown, kernel={1: kernel}, loops=loops, epolls=[OPEN])


def test_what_comes_due_within_the_look_that_shows_all_served_waits_anew() -> None:
    """When the rest was served, since the look before, is not seen; the timer came after it."""
    found = starvations(crowded_out(before=[200, 220], after=[394, 396, 600]))
    assert told(found) == [("no-cpu", 200, 394), ("no-cpu", 394, 900)]
    names = [[item.name for item in one.items] for one in found]
    assert names == [["200", "220"], ["394", "396", "600"]]


def test_what_waits_after_all_was_served_is_judged_by_itself() -> None:
    found = starvations(crowded_out(before=[200], after=[394], then=NAP, until=560))
    assert told(found) == [("no-cpu", 200, 394), ("blocked-loop", 394, 560)]


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [([200], [380, 394], 0), ([200], [394], 3), ([295], [394], 0)],
    ids=["one waits on", "callbacks are left", "too short to be told alone"],
)
def test_what_was_not_all_served_without_a_cpu_waits_on(
    before: list[float], after: list[float], left: int
) -> None:
    found = starvations(crowded_out(before, after, left))
    assert told(found) == [("no-cpu", before[0], 900)]


# --- GIL --------------------------------------------------------------------------------------------


def gil(**more: object) -> WorkerRecord:
    shown, kernel = one_callback(GIL)
    shown[2] = [(0, END, HOLDER)]
    kernel[2] = states((0, "run"))
    epolls = [OPEN, ready(1_010, 5), collected(1_600, 5)]
    return worker(shown=shown, kernel=kernel, epolls=epolls, **more)  # type: ignore[arg-type]


def test_who_held_the_gil_in_a_dump_is_guilty() -> None:
    dumps = (dump(1_100, {1: HANDLER, 2: HOLDER}, gil_tid=2),)
    (found,) = starvations(gil(dumps=dumps))
    assert told([found]) == [("gil-bound", 1_010, 1_600)]
    assert found.threads == (ThreadKey(100, 2),)
    assert {a.stack for a in found.guilty} == {HOLDER}
    assert (found.guilty[0].start_ns, found.guilty[-1].end_ns) == (at(1_010), at(1_600))
    assert found.evidence == ("epoll", "threads", "dump")


@pytest.mark.parametrize(
    "dumps",
    [
        (),
        (dump(900, {2: HOLDER}, gil_tid=2),),
        (dump(1_600, {2: HOLDER}, gil_tid=2),),
        (dump(1_100, {2: HOLDER}, gil_tid=None),),
        (dump(1_100, {1: HANDLER}, gil_tid=2),),
    ],
    ids=["none", "before", "after", "nobody", "no stack"],
)
def test_without_a_telling_dump_nobody_is_blamed_for_the_gil(dumps: object) -> None:
    (found,) = starvations(gil(dumps=dumps))
    assert (found.kind.name, found.guilty, found.evidence) == (
        "gil-bound",
        (),
        ("epoll", "threads"),
    )


def kept_by(found: Starvation) -> dict[int, list[tuple[float, float]]]:
    return {
        key.tid: [(ms(a.start_ns), ms(a.end_ns)) for a in did] for key, did in found.held_by.items()
    }


def test_who_was_seen_with_the_gil_is_guilty_for_as_long() -> None:
    shown, kernel = one_callback(GIL)
    shown |= {2: [(0, END, HOLDER)], 3: [(0, END, SPIN)], 4: [(0, END, HOLDER)]}
    epolls = [OPEN, ready(1_010, 5), collected(1_600, 5)]
    record = with_gil(
        worker(shown=shown, kernel=kernel, epolls=epolls),
        (900, 2, False), (1_300, 1, False), (1_310, 3, False), (1_400, None, False),
        (1_450, 9, False), (1_460, 2, False), (1_500, 4, False), (1_505, 1, False), (1_700, 2, False),
    )  # fmt: skip
    (found,) = starvations(record)
    assert told([found]) == [("gil-bound", 1_010, 1_600)]
    # not the loop's own thread, nor one without a stack, nor one that had it for a moment
    assert kept_by(found) == {2: [(1_010, 1_300), (1_460, 1_500)], 3: [(1_310, 1_400)]}
    assert found.evidence == ("epoll", "threads", "gil")


def test_the_gil_of_another_interpreter_keeps_nobody() -> None:
    (found,) = starvations(with_gil(gil(), (900, 2, False), interpreter=1))
    assert (found.guilty, found.evidence) == ((), ("epoll", "threads"))


def test_a_dump_tells_where_our_own_sampler_does_not() -> None:
    dumps = (dump(1_100, {1: HANDLER, 2: HOLDER}, gil_tid=2),)
    (found,) = starvations(with_gil(gil(dumps=dumps), (900, None, False)))
    assert ([*kept_by(found)], found.evidence[-1]) == ([2], "dump")


def test_a_loop_that_itself_held_the_gil_in_the_dump_is_not_its_own_victim() -> None:
    # The dump came at the one moment at which the loop had it: it says nothing of the others.
    dumps = (dump(1_100, {1: HANDLER, 2: HOLDER}, gil_tid=1),)
    (found,) = starvations(gil(dumps=dumps))
    assert found.guilty == ()


STARTS = HANDLER + stack(
    "Thread.start@lib/threading.py:999 > Event.wait@lib/threading.py:655"
    " > Condition.wait@lib/threading.py:355"
)


@pytest.mark.parametrize(
    ("callback", "holder", "kind"),
    [
        (STARTS, 2, "gil-bound"),
        (STARTS, None, "blocked-loop"),
        (STARTS, 1, "blocked-loop"),
        (HANDLER + STARTS[-2:], 2, "blocked-loop"),  # whoever sets it may wait for anything
    ],
    ids=["another thread has it", "nobody has it", "it has it itself", "no new thread"],
)
def test_a_thread_that_starts_waits_for_the_gil(
    callback: Stack, holder: int | None, kind: str
) -> None:
    shown, kernel = one_callback(FUTEX, shown=callback)
    shown[2] = [(0, END, HOLDER)]
    kernel[2] = states((0, "run"))
    dumps = (dump(1_100, {1: callback, 2: HOLDER}, gil_tid=holder),)
    epolls = [OPEN, ready(1_010, 5), collected(1_600, 5)]
    (found,) = starvations(worker(shown=shown, kernel=kernel, epolls=epolls, dumps=dumps))
    assert told([found]) == [(kind, 1_010, 1_600)]
    assert found.threads == (ThreadKey(100, 2 if kind == "gil-bound" else 1),)


@pytest.mark.parametrize(("until_ms", "kind"), [(1_500, "gil-bound"), (1_100, "blocked-loop")])
def test_a_thread_that_starts_waits_for_the_gil_if_others_have_it_for_long(
    until_ms: float, kind: str
) -> None:
    shown, kernel = one_callback(FUTEX, shown=STARTS)
    shown[2] = [(0, END, HOLDER)]
    epolls = [OPEN, ready(1_010, 5), collected(1_600, 5)]
    record = worker(shown=shown, kernel=kernel, epolls=epolls)
    (found,) = starvations(with_gil(record, (900, 2, False), (until_ms, None, False)))
    assert found.kind.name == kind


def test_who_wants_the_gil_wakes_to_ask_for_it() -> None:
    """On a busy machine it is seen runnable as often as waiting, but that is no blocking call."""
    rows = [*states((0, "epoll_wait 5"))]
    for n in range(30):
        marks = (n * MS // 50, n * MS // 5)
        rows.append(KernelState(at(1_000 + 20 * n), "R", None, None, *marks))
        rows.append(KernelState(at(1_012 + 20 * n), "S", 202, GIL_WORD, *marks))
    rows.append(KernelState(at(1_600), "S", 232, 5, 30 * MS // 50, 6 * MS))
    record = worker(
        shown={1: [(0, END, POLL)]},
        kernel={1: tuple(rows)},
        epolls=[OPEN, ready(1_000, 5), collected(1_600, 5)],
    )
    assert told(starvations(record)) == [("gil-bound", 1_000, 1_600)]
