"""While waitspy itself was stopped: nobody is accused of what may have been served meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.examples.build import (
    HANDLER,
    MS,
    POLL,
    THREAD,
    Span,
    at,
    collected,
    ms,
    ready,
    recording,
    stack,
    states,
    worker,
)
from tests.examples.loop_examples import END, FUTEX, NAP, OPEN, SPIN
from waitspy.judge.analysis import analyse
from waitspy.judge.loop_service import Counters
from waitspy.model.epolls import EpollEvent
from waitspy.model.listeners import ListenerEvent
from waitspy.model.loops import LoopEvent, LoopInfo
from waitspy.model.pools import PoolEvent, PoolInfo
from waitspy.model.recorded import WorkerRecord
from waitspy.recording.gaps import settle

GAP = (at(3_000), at(5_500))
STACK = stack("<module>@/app/main.py:9 > serve@/app/server.py:20 > view@/app/views.py:7")
WORKER = THREAD + stack(
    "Thread.run@lib/threading.py:982 > _worker@lib/concurrent/futures/thread.py:83"
)
JOB = WORKER + stack("_WorkItem.run@lib/concurrent/futures/thread.py:58 > slow@/app/jobs.py:5")


def found(record: WorkerRecord, *gaps: Span) -> list[tuple[str, str, float]]:
    """Kind, verdict and length (milliseconds) of what is said of that worker."""
    findings = analyse(recording(settle(record, gaps))).report.findings
    return [(f.kind.name, f.verdict, round(f.longest_s * 1000)) for f in findings]


def turns(*, stood: bool) -> list[tuple[float, str]]:
    """A thread in a blocking call at the last look before the gap, and at the first one after it.

    It was in there all the time if it ``stood``, else it has run meanwhile.
    """
    seen: list[tuple[float, str]] = [] if stood else [(5_500, NAP)]
    return [(2_980, NAP), *seen, (5_520, "run")]


def executor(*, stood: bool = False) -> WorkerRecord:
    """One thread that does one short job after the other."""
    rows = states((0, FUTEX), *turns(stood=stood), (5_521, FUTEX))
    pool = PoolInfo("executor", "asyncio", "default executor", 1, (11,))
    return worker(
        shown={11: [(0, 2_980, WORKER), (2_980, 5_520, JOB), (5_520, END, WORKER)]},
        kernel={11: rows},
        pools=(
            PoolEvent(at(0), 7, info=pool),
            PoolEvent(at(2_990), 7, queue=(1, 5)),
            PoolEvent(at(5_520), 7, queue=(0, 6)),
        ),
        oracles={"threads": "ok", "pools": "ok"},
    )


def listener(*, stood: bool = False) -> WorkerRecord:
    """The only worker of a server that serves one short request after the other."""
    rows = states((0, "accept 3"), *turns(stood=stood), (5_521, "accept 3"))
    return worker(
        shown={100: [(0, END, STACK)]},
        kernel={100: rows},
        listeners=(
            ListenerEvent(at(0), 500, name="127.0.0.1:80", fd=3),
            ListenerEvent(at(200), 500, accepted=1),
            ListenerEvent(at(2_990), 500, waiting=1),
            ListenerEvent(at(5_520), 500, waiting=0),
        ),
        oracles={"threads": "ok", "backlog": "ok"},
    )


def loop(*epolls: EpollEvent, stood: bool = False) -> WorkerRecord:
    """A loop with callbacks that block for a moment."""
    rows = states((0, "epoll_wait 5"), *turns(stood=stood), (5_521, "epoll_wait 5"))
    return worker(
        shown={100: [(0, 2_980, POLL), (2_980, 5_520, HANDLER), (5_520, END, POLL)]},
        kernel={100: rows},
        epolls=[OPEN, *epolls],
    )


def ready_loop(*, stood: bool = False) -> WorkerRecord:
    """The same with I/O that was ready both times."""
    return loop(ready(2_990, 5), collected(5_521, 5), stood=stood)


@pytest.mark.parametrize(
    ("make", "claimed"),
    [
        (executor, ("exhausted-pool", "starving", 2_530)),
        (listener, ("accept-backlog", "starving", 2_510)),
        (loop, ("blocked-loop", "latent", 2_540)),
        (ready_loop, ("blocked-loop", "starving", 2_531)),
    ],
)
def test_who_ran_in_the_gap_is_not_accused(
    make: Callable[..., WorkerRecord], claimed: tuple[str, str, float]
) -> None:
    """Only what is known of the gap acquits it: the same rows without one are a finding."""
    assert found(make()) == [claimed]
    assert found(make(), GAP) == []


@pytest.mark.parametrize(
    ("make", "claimed"),
    [
        (executor, ("exhausted-pool", "starving", 2_530)),
        (listener, ("accept-backlog", "starving", 2_530)),
        (loop, ("blocked-loop", "latent", 2_540)),
        (ready_loop, ("blocked-loop", "starving", 2_531)),
    ],
)
def test_who_did_not_run_is_accused_of_all_of_it(
    make: Callable[..., WorkerRecord], claimed: tuple[str, str, float]
) -> None:
    assert found(make(stood=True), GAP) == found(make(stood=True)) == [claimed]


def test_a_block_that_began_long_before_the_gap_ends_with_what_is_known() -> None:
    rows = states((0, "epoll_wait 5"), (1_000, NAP), (5_500, "epoll_wait 5"))
    record = worker(
        shown={100: [(0, 1_000, POLL), (1_000, 5_500, HANDLER), (5_500, END, POLL)]},
        kernel={100: rows},
        epolls=[OPEN, ready(1_100, 5), collected(5_500, 5)],
    )
    assert found(record, GAP) == [("blocked-loop", "starving", 1_900)]


def test_a_loop_that_is_always_busy_was_not_late_in_the_gap() -> None:
    facts = LoopInfo("asyncio", 5, 100, "running", False)
    events = [LoopEvent(at(0), 1, facts=facts), LoopEvent(at(0), 1, service=(0, 100))]
    rows: list[tuple[float, str]] = [(0, "epoll_wait 5")]
    changes = 100
    # Two callbacks wait at every look, and those of the look before have been run.
    for n in [*range(1_000, 3_000, 10), *range(5_500, 7_000, 10)]:
        changes += 400 if n == 5_500 else 4
        rows.append((n, "run"))
        events.append(LoopEvent(at(n), 1, service=(2, changes)))
    events.append(LoopEvent(at(7_000), 1, service=(0, changes + 2)))
    rows.append((7_000, "epoll_wait 5"))
    record = worker(
        shown={100: [(0, 1_000, POLL), (1_000, 7_000, SPIN), (7_000, END, POLL)]},
        kernel={100: states(*rows)},
        epolls=[OPEN],
        loops=tuple(events),
    )
    assert found(record, GAP) == []
    (late,) = Counters(record.loops).waited_long(100 * MS, at(END))
    assert (ms(late.start_ns), ms(late.end_ns)) == (2_990, 5_500)
    known = settle(record, [GAP]).loops
    assert list(Counters(known).waited_long(100 * MS, at(END))) == []


FACTS = LoopEvent(at(0), 1, facts=LoopInfo("asyncio", 5, 100, "running", False))


def polling_loop(*counts: tuple[float, int, int]) -> WorkerRecord:
    """A callback of 300 ms that looks for something every 10 ms, while I/O is ready.

    Nobody looks from 1,050 to 1,150 and from 1,150 to 1,270 ms. ``counts`` are when its queue had
    which length and how many changes.
    """
    naps = [*range(1_010, 1_060, 10), 1_150, *range(1_270, 1_300, 10)]
    rows = [(0.0, "epoll_wait 5"), *((float(n), NAP) for n in naps), (1_300.0, "epoll_wait 5")]
    loops = (LoopEvent(at(at_ms), 1, service=(ready, changes)) for at_ms, ready, changes in counts)
    return worker(
        shown={100: [(0, 1_005, POLL), (1_005, 1_300, HANDLER), (1_300, END, POLL)]},
        kernel={100: states(*rows)},
        epolls=[OPEN, ready(1_010, 5), collected(1_300, 5)],
        loops=(FACTS, *loops),
    )


SHORT_GAPS = (at(1_050), at(1_150)), (at(1_150), at(1_270))


def test_a_loop_that_handed_out_no_callback_in_a_gap_is_accused_of_it_though_its_thread_ran() -> (
    None
):
    counts = [(0, 0, 100), (1_005, 0, 102), (1_150, 1, 103), (1_270, 2, 104), (1_300, 0, 108)]
    record = polling_loop(*counts)
    assert found(record, *SHORT_GAPS) == found(record) == [("blocked-loop", "starving", 290)]


def test_one_that_handed_out_some_is_accused_of_what_follows_at_most() -> None:
    counts = [(0, 0, 100), (1_005, 0, 102), (1_150, 1, 105), (1_270, 2, 106), (1_300, 0, 110)]
    assert found(polling_loop(*counts), *SHORT_GAPS) == [("blocked-loop", "starving", 150)]
    twice = [(0, 0, 100), (1_005, 0, 102), (1_150, 1, 105), (1_270, 1, 107), (1_300, 0, 110)]
    assert found(polling_loop(*twice), *SHORT_GAPS) == []


def test_a_loop_that_polled_when_the_gap_began_may_have_polled_on() -> None:
    """When I/O became ready in it is not known, though no callback was begun until its end."""
    rows = states((0, "epoll_wait 5"), (1_200, NAP), (1_290, "run"), (1_300, "epoll_wait 5"))
    counts = [(0, 0, 100), (1_200, 0, 100), (1_300, 0, 104)]
    record = worker(
        shown={100: [(0, 1_150, POLL), (1_150, 1_300, HANDLER), (1_300, END, POLL)]},
        kernel={100: rows},
        epolls=[OPEN, ready(1_050, 5), collected(1_300, 5)],
        loops=(
            FACTS,
            *(
                LoopEvent(at(at_ms), 1, service=(ready, changes))
                for at_ms, ready, changes in counts
            ),
        ),
    )
    assert found(record, (at(1_050), at(1_200))) == [("blocked-loop", "starving", 100)]
