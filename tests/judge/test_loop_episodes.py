"""Episodes: when a loop is starved, how that is named, and when nothing may be said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.examples.build import (
    ARCH,
    HANDLER,
    MAIN,
    MS,
    PARKED,
    POLL,
    THREAD,
    Shown,
    activities,
    activity,
    at,
    closed,
    collected,
    ms,
    opened,
    ready,
    sock,
    stack,
    states,
    unread,
    worker,
)
from tests.examples.loop_examples import (
    END,
    FUTEX,
    GIL,
    NAP,
    OPEN,
    looked,
    one_callback,
    starvations,
    told,
)
from waitspy.judge import blame, loop_episodes, loops
from waitspy.model.epolls import EpollEvent, UnreadSocket
from waitspy.model.loops import LoopEvent, LoopInfo, LoopWork
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.threads import KernelState
from waitspy.model.waits import Wait, WaitKind

# --- blocked and parked -----------------------------------------------------------------------------


def test_a_blocking_call_in_a_callback_blocks_the_loop() -> None:
    shown, kernel = one_callback(NAP)
    record = worker(shown=shown, kernel=kernel, epolls=[OPEN, ready(1_100, 5), collected(1_600, 5)])
    (found,) = starvations(record)
    assert told([found]) == [("blocked-loop", 1_100, 1_600)]
    assert found.evidence == ("epoll", "threads")
    assert found.threads == (ThreadKey(100, 1),)
    assert found.base == POLL
    assert {a.stack for a in found.guilty} == {HANDLER}
    assert (found.guilty[0].start_ns, found.guilty[-1].end_ns) == (at(1_100), at(1_600))
    slept = [a for a in found.guilty if a.wait.kind is WaitKind.SLEEP]
    assert [a.wait.call for a in slept] == ["time.sleep"]
    assert found.waiting == 1


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
    assert (found.kind.name, found.guilty) == ("blocked-loop", ())


def test_a_loop_whose_owner_runs_another_loop_is_left_alone() -> None:
    # The first loop was never closed and something still arrives there; its thread serves another.
    kernel = states((0, "epoll_wait 5"), (500, "run"), (510, "epoll_wait 9"))
    record = worker(
        shown={1: [(0, END, POLL)]},
        kernel={1: kernel},
        epolls=[OPEN, opened(510, 9, 2), ready(700, 5)],
    )
    assert told(starvations(record)) == []


def test_a_callback_that_runs_another_loop_starves_the_outer_one() -> None:
    inner = HANDLER + stack(
        "BaseEventLoop.run_until_complete@lib/asyncio/base_events.py:674"
        " > BaseEventLoop._run_once@lib/asyncio/base_events.py:1948"
        " > EpollSelector.select@lib/selectors.py:468"
    )
    kernel = states(
        (0, "epoll_wait 5"), (500, "run"), (510, "epoll_wait 9"), (1_500, "run"),
        (1_510, "epoll_wait 5"),
    )  # fmt: skip
    record = worker(
        shown={1: [(0, 500, POLL), (500, 1_510, inner), (1_510, END, POLL)]},
        kernel={1: kernel},
        epolls=[OPEN, opened(510, 9, 2), ready(700, 5), collected(1_510, 5)],
    )
    (found,) = starvations(record)
    assert told([found]) == [("blocked-loop", 700, 1_510)]
    assert blame.blamed(blame.guilty_frames(found.guilty[0], found.base)) == HANDLER[-1]


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
        KernelState(s.at_ns + 20 * MS, s.state, s.syscall, s.arg0, s.ran_ns, 0) for s in kernel[1]
    )
    record = worker(shown=shown, kernel={1: (*rows, *late)}, epolls=[OPEN, opened(0, 9, 2)])
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
    assert found.waiting == 3
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


def test_what_is_left_after_everything_was_served_must_last_as_well() -> None:
    shown, kernel = one_callback(NAP)
    epolls = [
        OPEN, ready(1_010, 5), *looked((1_100, [1]), (1_400, [1]), (1_550, [2])),
        collected(1_600, 5),
    ]  # fmt: skip
    found = starvations(worker(shown=shown, kernel=kernel, epolls=epolls))
    assert told(found) == [("blocked-loop", 1_010, 1_550)]


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


# --- latent -----------------------------------------------------------------------------------------


def test_a_blocking_call_that_starves_nothing_is_latent() -> None:
    shown, kernel = one_callback(NAP)
    (found,) = starvations(worker(shown=shown, kernel=kernel, epolls=[OPEN]))
    assert told([found]) == [("latent blocked-loop", 1_001, 1_599)]
    assert found.evidence == ("threads",)


@pytest.mark.parametrize(
    ("epolls", "found"),
    [
        ([opened(300, 5, 1)], 1),
        ([opened(900, 5, 1)], 1),
        ([opened(1_650, 5, 1), closed(1_700, 5)], 0),  # it was only made then
        ([opened(0, 5, 1), closed(900, 5)], 0),
        ([opened(0, 5, 1), closed(1_300, 5)], 0),
        ([opened(0, 5, 1), closed(700, 5), opened(800, 5, 2)], 1),
        ([opened(0, 6, 1), opened(0, 5, 2), closed(1_300, 6)], 1),
    ],
)
def test_a_call_is_on_a_loop_s_thread_only_while_there_is_one(
    epolls: list[EpollEvent], found: int
) -> None:
    """A server may make an epoll for each answer, to see whether the client is gone."""
    shown, kernel = one_callback(NAP)
    assert len(starvations(worker(shown=shown, kernel=kernel, epolls=epolls))) == found


def readable(*looks_ms: float) -> dict[str, Any]:
    """A loop object that was looked at at these times, when nothing waited on it."""
    info = LoopInfo("asyncio", 5, 1, "running", closed=False)
    events = [LoopEvent(at(0), 9, facts=info), LoopEvent(at(0), 9, service=(0, 10))]
    events += [LoopEvent(at(990), 9, service=(0, 20))]
    events += [LoopEvent(at(ms), 9, work=LoopWork(0, (), 0, ())) for ms in looks_ms]
    events += [LoopEvent(at(1_600), 9, service=(0, 30))]
    oracles = {"threads": "ok", "epoll": "ok", "asyncio": "ok"}
    return {"loops": tuple(events), "oracles": oracles}


@pytest.mark.parametrize(
    ("looks_ms", "looked"), [((1_050,), True), ((), False), ((980,), False), ((1_650,), False)]
)
def test_nothing_was_due_only_if_somebody_looked(looks_ms: tuple[float, ...], looked: bool) -> None:
    shown, kernel = one_callback(NAP)
    record = worker(shown=shown, kernel=kernel, epolls=[OPEN], **readable(*looks_ms))
    (found,) = starvations(record)
    assert (found.verdict, found.looked) == ("latent", looked)


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


@pytest.mark.parametrize(
    ("asyncio", "inbound", "episodes"),
    [
        ("ok", True, 1),  # clients wait
        ("ok", False, 0),  # a client of something, at work on what it has read
        ("refused", False, 1),  # what is a loop cannot be told: count it
    ],
)
def test_a_selector_of_no_known_loop_counts_where_clients_wait(
    asyncio: str, inbound: bool, episodes: int
) -> None:
    own = stack("main@/app/s.py:9 > serve@/app/s.py:20")
    poll = own + stack("EpollSelector.select@lib/selectors.py:468")
    busy = own + stack("work@/app/s.py:40")
    shown = {1: [(0.0, 1_000, poll), (1_000, 1_600, busy), (1_600, float(END), poll)]}
    kernel = {1: states((0, "epoll_wait 5"), (1_000, NAP), (1_600, "epoll_wait 5"))}
    events = [OPEN, ready(1_100, 5), collected(1_600, 5)]
    events.append(unread(1_200, 5, sock(7, inbound=inbound, read=0)))
    oracles = {"threads": "ok", "epoll": "ok", "asyncio": asyncio}
    record = worker(shown=shown, kernel=kernel, epolls=events, oracles=oracles)
    starving = [s for s in starvations(record) if not s.latent]
    assert len(starving) == episodes


def test_without_a_stack_the_loop_object_tells_whether_it_was_parked() -> None:
    _, kernel = one_callback(NAP)
    epolls = [OPEN, ready(1_100, 5), collected(1_600, 5)]
    for how, kind in (("running", "blocked-loop"), ("history", "parked-loop")):
        facts = LoopInfo("asyncio", 5, 1, how, closed=False)
        record = worker(kernel=kernel, epolls=epolls, loops=(LoopEvent(at(0), 7, facts=facts),))
        (found,) = starvations(record)
        assert (found.kind.name, found.guilty) == (kind, ())


def test_a_loop_in_c_that_was_never_seen_idle_is_running_where_its_object_says_so() -> None:
    bare = stack("<module>@/app/main.py:90 > run_asgi@site/uvicorn/h11_impl.py:409 > f@/app/x.py:1")
    kernel = {1: states((0, "futex 7"), (1_100, NAP), (1_600, "futex 7"))}
    epolls = [OPEN, ready(1_100, 5), collected(1_600, 5)]
    for kind, how, told_kind in (
        ("uvloop", "running", "blocked-loop"),
        ("uvloop", "history", "parked-loop"),
        ("asyncio", "running", "parked-loop"),
    ):
        facts = LoopInfo(kind, 5, 1, how, closed=False)
        record = worker(
            shown={1: [(1_000, 1_700, bare)]},
            kernel=kernel,
            epolls=epolls,
            loops=(LoopEvent(at(0), 7, facts=facts),),
        )
        assert [found.kind.name for found in starvations(record)] == [told_kind]


def selects(*sockets: UnreadSocket, base: Stack) -> WorkerRecord:
    """A server whose thread has left its epoll, on which that waits."""
    poll = base + stack("EpollSelector.select@lib/selectors.py:468")
    drains = stack("<module>@/app/main.py:90 > drain@/app/main.py:77")
    return worker(
        shown={1: [(0, 500, poll), (500, 2_500, drains), (2_500, END, poll)]},
        kernel={1: states((0, "epoll_wait 5"), (500, FUTEX), (2_500, "epoll_wait 5"))},
        epolls=[OPEN, ready(700, 5), unread(710, 5, *sockets), collected(2_500, 5)],
        oracles={"threads": "ok", "epoll": "ok", "asyncio": "not read"},
    )


def test_connections_that_others_accept_do_not_wait_for_one_epoll() -> None:
    own = stack("<module>@/app/main.py:90 > serve@/app/main.py:70")
    listener = sock(9, 3, kind="listener")
    record = selects(listener, base=own)
    assert [kind for kind, *_ in told(starvations(record))] == ["parked-loop"]
    assert starvations(record, shared=[9]) == []
    assert len(starvations(record, shared=[10])) == 1
    request = selects(listener, sock(11), base=own)
    assert len(starvations(request, shared=[9])) == 1


def test_connections_that_wait_for_an_event_loop_are_judged_with_it() -> None:
    record = selects(sock(9, 3, kind="listener"), base=POLL[:-1])
    assert len(starvations(record, shared=[9])) == 1


def test_a_listener_is_judged_with_the_loop_that_serves_it() -> None:
    listener = sock(9, 3, kind="listener")
    own = stack("<module>@/app/main.py:90 > serve@/app/main.py:70")
    for base, shared, found in (
        (own, set(), {9}),
        (own, {9}, set()),
        (POLL[:-1], {9}, {9}),
    ):
        record = selects(listener, base=base)
        loop = loops.find(record, at(END), ARCH, set(), set())
        poll = base + stack("EpollSelector.select@lib/selectors.py:468")
        polls = Wait(WaitKind.LOOP_POLL, None, "epoll_wait")
        done = {1: activities(activity(0, 500, poll, polls))}
        assert loop_episodes.watched(record, done, loop, shared) == found
        assert loop_episodes.watched(record, done, (), shared) == set()
