"""Episodes: when a loop is starved, how that is named, and when nothing may be said."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from profiler import blame, classify, episodes, loops, timeline
from profiler.episodes import Composition, Starvation, compose
from profiler.model import EpollEvent, KernelState, Stack, WaitKind, WorkerRecord
from tests.build import (
    ARCH,
    DISPATCH,
    GIL_WORD,
    HANDLER,
    HEAP_WORD,
    MAIN,
    MS,
    PARKED,
    POLL,
    SOURCES,
    THREAD,
    Shown,
    at,
    closed,
    collected,
    dump,
    ms,
    opened,
    ready,
    sock,
    stack,
    states,
    unread,
    worker,
)

END = 10_000
NAP = "clock_nanosleep"
FUTEX = f"futex {HEAP_WORD}"
GIL = f"futex {GIL_WORD}"
OPEN = opened(0, 5, 1)
SPIN = DISPATCH + stack("handle@/app/views.py:21 > spin@/app/cpu.py:5")
HOLDER = THREAD + stack("Thread.run@lib/threading.py:1010 > crunch@/app/cpu.py:40")


def starvations(
    record: WorkerRecord, min_stall_ms: float = 100, end_ms: float = END
) -> list[Starvation]:
    """Episodes of one worker, through the stages before them."""
    records = timeline.build(record, at(end_ms))
    running = {r.tid for r in records if any(blame.shows_loop(i.stack) for i in r.intervals)}
    own = loops.find(record, at(end_ms), ARCH, running, set())
    named = {}
    for one in records:
        epfds = frozenset(loop.epfd for loop in own if loop.tid == one.tid)
        context = classify.Context(ARCH, SOURCES, epfds, record.runtime_span)
        named[one.tid] = classify.activities(one, context)
    return list(episodes.find(record, named, own, at(end_ms), round(min_stall_ms * MS)))


def told(found: Sequence[Starvation]) -> list[tuple[str, float, float]]:
    """Kind and bounds in milliseconds; latent ones are marked."""
    return [("latent " * s.latent + s.kind, ms(s.start_ns), ms(s.end_ns)) for s in found]


def one_callback(
    what: str, start: float = 1_000, end: float = 1_600, shown: Stack = HANDLER
) -> tuple[dict[int, list[Shown]], dict[int, tuple[KernelState, ...]]]:
    """A loop that serves one long callback and is idle before and after."""
    stacks = {1: [(0.0, start, POLL), (start, end, shown), (end, float(END), POLL)]}
    kernel = states(
        (0, "epoll_wait 5"), (start, "run"), (start + 1, what), (end - 1, "run"),
        (end, "epoll_wait 5"),
    )  # fmt: skip
    return stacks, {1: kernel}


def looked(*rows: tuple[float, Sequence[int]]) -> list[EpollEvent]:
    """Looks that found those inodes unread, nothing having been read of any of them."""
    return [unread(at_ms, 5, *(sock(inode, read=0) for inode in inodes)) for at_ms, inodes in rows]


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
    assert compose((), at(0), at(1_000)) == Composition(0, 0, 0, 0)


def test_without_schedstat_the_state_decides() -> None:
    rows = states((0, "run"), (300, FUTEX), (600, "stop"), (900, "run"), schedstat=False)
    assert compose(rows, at(0), at(1_000)) == Composition(400 * MS, 0, 300 * MS, 300 * MS)


def test_the_running_time_after_the_last_row_is_not_known_to_schedstat() -> None:
    # Its gain is credited by the next row; until then nothing is claimed to have run.
    assert compose(states((0, "run")), at(0), at(500)).ran_ns == 0


# --- blocked and parked -----------------------------------------------------------------------------


def test_a_blocking_call_in_a_callback_blocks_the_loop() -> None:
    shown, kernel = one_callback(NAP)
    record = worker(shown=shown, kernel=kernel, epolls=[OPEN, ready(1_100, 5), collected(1_600, 5)])
    (found,) = starvations(record)
    assert told([found]) == [("blocked-loop", 1_100, 1_600)]
    assert found.evidence == ("epoll", "threads")
    assert found.guilty_tid == 1
    assert found.base == POLL
    assert {a.stack for a in found.guilty} == {HANDLER}
    assert (found.guilty[0].start_ns, found.guilty[-1].end_ns) == (at(1_100), at(1_600))
    slept = [a for a in found.guilty if a.wait.kind is WaitKind.SLEEP]
    assert [a.wait.call for a in slept] == ["time.sleep"]
    assert found.items == 1


def test_the_bounds_come_from_the_epoll_not_from_the_stack() -> None:
    # The callback blocks for 600 ms; only the last 200 of them starved something.
    shown, kernel = one_callback(NAP)
    record = worker(shown=shown, kernel=kernel, epolls=[OPEN, ready(1_400, 5), collected(1_600, 5)])
    assert told(starvations(record)) == [("blocked-loop", 1_400, 1_600)]


def test_waits_as_long_as_min_stall_are_told_and_shorter_ones_are_not() -> None:
    shown, kernel = one_callback(NAP)
    for length, expected in ((99, 0), (100, 1)):
        epolls = [OPEN, ready(1_600 - length, 5), collected(1_600, 5)]
        record = worker(shown=shown, kernel=kernel, epolls=epolls)
        assert len([s for s in starvations(record) if not s.latent]) == expected
        assert len([s for s in starvations(record, min_stall_ms=50) if not s.latent]) == 1


def test_a_thread_that_waits_outside_its_loop_parks_it() -> None:
    job = THREAD + stack(
        "Worker.run@/app/worker.py:14 > BaseEventLoop.run_until_complete@lib/asyncio/base_events.py:674"
        " > BaseEventLoop._run_once@lib/asyncio/base_events.py:1948"
        " > EpollSelector.select@lib/selectors.py:468"
    )
    record = worker(
        shown={1: [(0, 500, job), (500, 2_500, PARKED), (2_500, END, job)]},
        kernel={
            1: states((0, "epoll_wait 5"), (500, FUTEX), (2_500, "run"), (2_501, "epoll_wait 5"))
        },
        epolls=[OPEN, ready(700, 5), collected(2_501, 5)],
    )
    (found,) = starvations(record)
    assert told([found]) == [("parked-loop", 700, 2_501)]
    assert blame.blamed(blame.above(found.guilty[0].stack, found.base)) == PARKED[-3]


def test_a_loop_that_was_left_for_good_stays_parked_until_the_end() -> None:
    job = THREAD + stack("Worker.run@/app/worker.py:14") + POLL[len(MAIN) :]
    record = worker(
        shown={1: [(0, 500, job), (500, END, PARKED)]},
        kernel={1: states((0, "epoll_wait 5"), (500, FUTEX))},
        epolls=[OPEN, ready(700, 5)],
    )
    assert told(starvations(record)) == [("parked-loop", 700, END)]


def test_what_held_the_loop_longest_decides_between_blocked_and_parked() -> None:
    record = worker(
        shown={1: [(0, 500, POLL), (500, 700, HANDLER), (700, 2_000, PARKED), (2_000, END, POLL)]},
        kernel={1: states((0, "epoll_wait 5"), (500, NAP), (700, FUTEX), (2_000, "epoll_wait 5"))},
        epolls=[OPEN, ready(510, 5), collected(2_000, 5)],
    )
    assert told(starvations(record)) == [("parked-loop", 510, 2_000)]


def test_starvation_without_a_stack_blames_nobody() -> None:
    _, kernel = one_callback(NAP)
    epolls = [OPEN, ready(1_100, 5), collected(1_600, 5)]
    (found,) = starvations(worker(kernel=kernel, epolls=epolls))
    assert (found.kind, found.guilty) == ("blocked-loop", ())


def test_a_loop_whose_owner_runs_another_loop_is_left_alone() -> None:
    # The first loop was never closed and something still arrives there; its thread serves another.
    kernel = states((0, "epoll_wait 5"), (500, "run"), (510, "epoll_wait 9"))
    record = worker(
        shown={1: [(0, END, POLL)]},
        kernel={1: kernel},
        epolls=[OPEN, opened(510, 9, 2), ready(700, 5)],
    )
    assert told(starvations(record)) == []


def test_a_loop_whose_owner_is_dead_is_left_alone() -> None:
    kernel = {1: states((0, "epoll_wait 5"), (500, "gone")), 2: states((0, FUTEX))}
    record = worker(
        shown={1: [(0, END, POLL)], 2: [(0, END, PARKED)]},
        kernel=kernel,
        epolls=[OPEN, ready(700, 5)],
    )
    assert told(starvations(record)) == []


def test_a_private_epoll_inside_a_callback_blocks_the_loop() -> None:
    # A callback waits with its own selector: that poll is a wait like any other.
    waits = HANDLER + stack("EpollSelector.select@lib/selectors.py:468")
    shown, kernel = one_callback("epoll_wait 9", shown=waits)
    epolls = [
        OPEN, opened(1_000, 9, 2), ready(1_100, 5), collected(1_600, 5), closed(1_601, 9),
    ]  # fmt: skip
    found = starvations(worker(shown=shown, kernel=kernel, epolls=epolls))
    assert told(found) == [("blocked-loop", 1_100, 1_600)]
    assert found[0].base == POLL
    held = {a.wait.kind for a in found[0].guilty if a.end_ns - a.start_ns > 100 * MS}
    assert held == {WaitKind.SOCKET}


def test_a_latent_wait_is_told_once_however_many_epolls_its_thread_polls() -> None:
    shown, kernel = one_callback(NAP)
    rows = states((0, "epoll_wait 9"), (10, "epoll_wait 5"))
    late = tuple(
        KernelState(s.at_ns + 20 * MS, s.state, s.syscall, s.arg0, s.ran_ns, 0, n + 2)
        for n, s in enumerate(kernel[1])
    )
    record = worker(shown=shown, kernel={1: rows + late}, epolls=[OPEN, opened(0, 9, 2)])
    assert [s.latent for s in starvations(record)] == [True]


# --- several items ----------------------------------------------------------------------------------


def test_items_whose_waits_overlap_are_one_episode() -> None:
    shown, kernel = one_callback(NAP)
    epolls = [
        OPEN, ready(1_050, 5), *looked((1_100, [1]), (1_300, [1, 2, 3]), (1_500, [2, 3])),
        collected(1_600, 5),
    ]  # fmt: skip
    (found,) = starvations(worker(shown=shown, kernel=kernel, epolls=epolls))
    assert told([found]) == [("blocked-loop", 1_050, 1_600)]
    assert found.items == 3
    assert [ms(look.at_ns) for look in found.looks] == [1_100, 1_300, 1_500]


def test_an_episode_ends_when_everything_seen_was_served() -> None:
    # Two blocking callbacks in a row; between them the loop served all that waited then.
    shown: dict[int, list[Shown]] = {
        1: [(0, 1_000, POLL), (1_000, 2_000, HANDLER), (2_000, END, POLL)]
    }
    kernel = states(
        (0, "epoll_wait 5"), (1_000, NAP), (1_490, "run"), (1_500, NAP), (2_000, "epoll_wait 5")
    )
    epolls = [
        OPEN, ready(1_010, 5), *looked((1_100, [1]), (1_400, [1]), (1_510, [2]), (1_900, [2])),
        collected(2_000, 5),
    ]  # fmt: skip
    found = starvations(worker(shown=shown, kernel={1: kernel}, epolls=epolls))
    assert told(found) == [("blocked-loop", 1_010, 1_510), ("blocked-loop", 1_510, 2_000)]


def test_a_loop_that_blocks_shortly_but_serves_all_along_is_not_blocked() -> None:
    # Overload: 50 ms of database per request, one after the other. No single wait holds it.
    kernel: list[tuple[float, str]] = [(0, "epoll_wait 5")]
    shown: list[Shown] = [(0, 1_000, POLL)]
    events = [OPEN, ready(1_010, 5)]
    for n in range(20):
        start = 1_000 + n * 50
        kernel += [(start, "run"), (start + 2, "recvfrom 8")]
        events += looked((start + 20, [n, n + 1, n + 2]))
    shown += [(1_000, 2_000, HANDLER), (2_000, END, POLL)]
    kernel.append((2_000, "epoll_wait 5"))
    events.append(collected(2_000, 5))
    record = worker(shown={1: shown}, kernel={1: states(*kernel)}, epolls=events)
    assert told(starvations(record)) == []


def test_one_long_wait_is_told_even_if_others_were_served_before_it() -> None:
    shown: dict[int, list[Shown]] = {
        1: [(0, 1_000, POLL), (1_000, 2_000, HANDLER), (2_000, END, POLL)]
    }
    kernel = states(
        (0, "epoll_wait 5"), (1_000, NAP), (1_090, "run"), (1_100, NAP), (2_000, "epoll_wait 5")
    )
    epolls = [
        OPEN, ready(1_010, 5), *looked((1_060, [1, 2]), (1_110, [2]), (1_500, [2])),
        collected(2_000, 5),
    ]  # fmt: skip
    found = starvations(worker(shown=shown, kernel={1: kernel}, epolls=epolls))
    assert told(found) == [("blocked-loop", 1_010, 2_000)]


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
    assert found.guilty_tid == 2
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
    assert (found.kind, found.guilty, found.evidence) == ("gil-bound", (), ("epoll", "threads"))


def test_a_loop_that_itself_held_the_gil_in_the_dump_is_not_its_own_victim() -> None:
    # The dump came at the one moment at which the loop had it: it says nothing of the others.
    dumps = (dump(1_100, {1: HANDLER, 2: HOLDER}, gil_tid=1),)
    (found,) = starvations(gil(dumps=dumps))
    assert found.guilty == ()


# --- latent -----------------------------------------------------------------------------------------


def test_a_blocking_call_that_starves_nothing_is_latent() -> None:
    shown, kernel = one_callback(NAP)
    (found,) = starvations(worker(shown=shown, kernel=kernel, epolls=[OPEN]))
    assert told([found]) == [("latent blocked-loop", 1_001, 1_599)]
    assert found.evidence == ("threads",)


def test_a_short_blocking_call_is_not_even_latent() -> None:
    shown, kernel = one_callback(NAP, 1_000, 1_090)
    assert starvations(worker(shown=shown, kernel=kernel, epolls=[OPEN])) == []


def test_a_wait_that_starved_something_is_not_latent_as_well() -> None:
    shown, kernel = one_callback(NAP)
    record = worker(shown=shown, kernel=kernel, epolls=[OPEN, ready(1_450, 5), collected(1_600, 5)])
    assert told(starvations(record)) == [("blocked-loop", 1_450, 1_600)]


def test_polls_computation_and_the_gil_are_never_latent() -> None:
    for what, stack_ in (("epoll_wait 5", POLL), ("run", HANDLER), (GIL, HANDLER)):
        shown, kernel = one_callback(what, shown=stack_)
        assert starvations(worker(shown=shown, kernel=kernel, epolls=[OPEN])) == [], what


def test_an_idle_parked_loop_is_not_latent() -> None:
    job = THREAD + stack("Worker.run@/app/worker.py:14") + POLL[len(MAIN) :]
    record = worker(
        shown={1: [(0, 500, job), (500, END, PARKED)]},
        kernel={1: states((0, "epoll_wait 5"), (500, FUTEX))},
        epolls=[OPEN],
    )
    assert starvations(record) == []


def test_other_threads_may_block_as_they_like() -> None:
    pool = THREAD + stack("Thread.run@lib/threading.py:1010 > job@/app/job.py:3")
    record = worker(
        shown={1: [(0, END, POLL)], 2: [(0, END, pool)]},
        kernel={1: states((0, "epoll_wait 5")), 2: states((0, NAP))},
        epolls=[OPEN],
    )
    assert starvations(record) == []


def test_a_healthy_loop_under_load_is_silent() -> None:
    kernel: list[tuple[float, str]] = [(0, "epoll_wait 5")]
    events = [OPEN]
    for n in range(1, 200):
        kernel += [(n * 50, "run"), (n * 50 + 2, "epoll_wait 5")]
        events += [ready(n * 50, 5), collected(n * 50 + 10, 5)]
    record = worker(shown={1: [(0, END, POLL)]}, kernel={1: states(*kernel)}, epolls=events)
    assert starvations(record) == []
