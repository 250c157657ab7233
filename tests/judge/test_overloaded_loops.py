"""Loops that ran callbacks all along, though late: too much to do, or too little CPU for it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from tests.examples.build import MS, POLL, at, collected, ms, ready, states, worker
from tests.examples.loop_examples import END, NAP, OPEN, SPIN, starvations, told
from waitspy.model.epolls import EpollEvents
from waitspy.model.loops import LoopEvent, LoopEvents, LoopInfo
from waitspy.model.recorded import WorkerRecord
from waitspy.model.threads import KernelState, KernelStates


def crowded(kept: float) -> WorkerRecord:
    """100 callbacks at once, of 5 ms each; that share of each 10 ms the thread is off the CPU."""
    ran_ns, kept_ns = round(10 * MS * (1 - kept)), round(10 * MS * kept)
    rows = [*states((0, "epoll_wait 5"))]
    events = [
        LoopEvent(at(0), 1, facts=LoopInfo("asyncio", 5, 1, "running", False)),
        LoopEvent(at(0), 1, service=(0, 100)),
    ]
    for n in range(51):
        marks = (n * ran_ns, n * kept_ns)
        rows.append(KernelState(at(1_000 + 10 * n), "R", None, None, *marks))
        events.append(LoopEvent(at(1_000 + 10 * n), 1, service=(100 - 2 * n, 200 + 2 * n)))
    rows.append(replace(rows[-1], at_ns=at(1_510), state="S", syscall=232, arg0=5))
    shown = {1: [(0.0, 1_000, POLL), (1_000, 1_510, SPIN), (1_510, float(END), POLL)]}
    return worker(shown=shown, kernel={1: tuple(rows)}, epolls=[OPEN], loops=tuple(events))


@pytest.mark.parametrize(
    ("kept", "kind"), [(0.0, "overloaded-loop"), (0.4, "overloaded-loop"), (0.9, "no-cpu")]
)
def test_a_loop_that_is_late_has_too_much_to_do_or_too_little_cpu(kept: float, kind: str) -> None:
    (found,) = starvations(crowded(kept))
    assert told([found]) == [(kind, 1_000, 1_500)]


def test_a_loop_that_stood_still_for_long_is_not_overloaded() -> None:
    """Nothing but its own counter tells of it: what held it meanwhile is why they were late."""
    record = crowded(0.0)
    later = [
        msgspec.structs.replace(event, at_ns=event.at_ns + (event.at_ns > at(1_200)) * 90 * MS)
        for event in record.loops
    ]
    states_later = [
        replace(row, at_ns=row.at_ns + (row.at_ns > at(1_200)) * 90 * MS)
        for row in record.states[1]
    ]
    still = replace(record, loops=LoopEvents.of(later), states={1: KernelStates.of(states_later)})
    assert starvations(still) == []
    (found,) = starvations(still, min_stall_ms=101)
    assert told([found]) == [("overloaded-loop", 1_000, 1_590)]


def test_overload_tells_what_was_late_what_was_run_and_what_was_served() -> None:
    (found,) = starvations(crowded(0.0))
    assert found.verdict == "late"
    assert (found.place, found.base) == ("epoll descriptor 5", POLL)
    assert found.evidence == ("asyncio", "threads")
    assert {a.stack for a in found.guilty} == {SPIN}
    assert (found.guilty[0].start_ns, found.guilty[-1].end_ns) == (at(1_000), at(1_500))
    assert {(item.kind, item.name, item.where) for item in found.items} == {
        ("callback", "callbacks", None)
    }
    # The counter is read every 10 ms: by then two are served, those of the last step in time.
    assert sum(item.count for item in found.items) == 100 - 2 * 9
    assert min(ms(item.end_ns) for item in found.items) == 1_100
    assert found.served == 98
    assert found.waiting == 100 - 2 * 9


def test_without_the_cpu_nobody_is_guilty() -> None:
    (found,) = starvations(crowded(0.9))
    assert (found.guilty, found.evidence, found.base) == ((), ("asyncio", "threads"), POLL)


def test_late_only_for_lack_of_the_cpu_is_neither() -> None:
    """The last callbacks wait for 500 ms, and with all the CPU they would have for 300."""
    assert [s.kind.name for s in starvations(crowded(0.4), min_stall_ms=300)] == ["overloaded-loop"]
    assert starvations(crowded(0.4), min_stall_ms=301) == []


def test_what_else_held_the_loop_meanwhile_is_why_they_were_late() -> None:
    record = crowded(0.0)
    stopped = replace(record.states[1][30], at_ns=at(1_300), state="S", syscall=230, arg0=0)
    rows = [*record.states[1][:31], stopped, *states((1_700, "epoll_wait 5"))]
    held = replace(
        record,
        states={1: KernelStates.of(rows)},
        loops=LoopEvents.of(
            msgspec.structs.replace(e, at_ns=e.at_ns + (e.at_ns > at(1_300)) * 200 * MS)
            for e in record.loops
        ),
        epolls=EpollEvents.of([OPEN, ready(1_300, 5), collected(1_510, 5)]),
    )
    assert [s.kind.name for s in starvations(held)] == ["blocked-loop"]
    # One that came before, or after, is another matter.
    for start, end in ((300, 450), (3_000, 3_200)):
        nap = states((start, NAP), (end, "epoll_wait 5"))
        mine = sorted((*record.states[1], *nap), key=lambda s: s.at_ns)
        other = replace(
            record,
            states={1: KernelStates.of(mine)},
            epolls=EpollEvents.of([OPEN, ready(start, 5), collected(end, 5)]),
        )
        kinds = [s.kind.name for s in starvations(other) if not s.latent]
        assert sorted(kinds) == ["blocked-loop", "overloaded-loop"]


def test_what_waits_when_the_worker_ends_waited_until_then() -> None:
    record = replace(crowded(0.0), gone_ns=at(1_300))
    (found,) = starvations(record)
    assert told([found]) == [("overloaded-loop", 1_000, 1_300)]
