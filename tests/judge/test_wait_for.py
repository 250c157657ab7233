"""Looks at who waits for what: which one tells of a time, and who is meant by a holder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from tests.examples.build import SOURCES, activities, activity, at, ms, stack, states, worker
from waitspy.judge.needs import Party
from waitspy.judge.wait_for import Chains, standstill
from waitspy.model.activities import Activities
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.threads import NO_STATES
from waitspy.model.wait_for import Holder, WaitEdge, WaitForEvent
from waitspy.model.waits import Wait, WaitKind

LOOKUP = stack("run@/app/cache.py:1 > lookup@/app/cache.py:52")
WANTS = Wait(WaitKind.LOCK, "with self._lock", "futex")
TID, OTHER = 100, 12


def chains(*workers: WorkerRecord, done: Mapping[ThreadKey, Activities] | None = None) -> Chains:
    return Chains(workers, done or {}, {}, SOURCES)


def waited(start_ms: float, end_ms: float) -> Activities:
    return activities(activity(start_ms, end_ms, LOOKUP, WANTS))


def look(when_ms: float, *tids: int) -> WaitForEvent:
    edges = tuple(WaitEdge(tid, "lock", 0x1000, (), whole=True) for tid in tids)
    return WaitForEvent(at(when_ms), edges)


STOOD = states((0, "run"), (100, "futex 0x10"), (500, "run"), (600, "futex 0x10"))
"""A thread that stands twice, the second time to the end."""


def looked(*looks: WaitForEvent) -> Chains:
    return chains(replace(worker(), states={TID: STOOD}, wait_for=looks))


def seen_at(looks: Iterable[WaitForEvent], when_ms: float, tid: int = TID) -> WaitForEvent:
    return looked(*looks).seen_at(ThreadKey(100, tid), at(when_ms))


# --- what a thread did -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when_ms", "span"),
    [(99, None), (100, (100, 500)), (499, (100, 500)), (500, None), (600, (600, 900))],
)
def test_a_thread_stands_from_the_start_of_its_call_until_it_runs(
    when_ms: float, span: tuple[float, float] | None
) -> None:
    record = replace(worker(), states={TID: STOOD})
    found = standstill(record, TID, at(when_ms), at(900))
    assert (None if found is None else (ms(found[0]), ms(found[1]))) == span
    assert standstill(record, OTHER, at(when_ms), at(900)) is None


@pytest.mark.parametrize(("when_ms", "known"), [(99, 0), (100, 1), (499, 1), (500, 0), (800, 1)])
def test_what_a_thread_did_is_known_only_while_it_was_sampled(when_ms: float, known: int) -> None:
    record = worker()
    seen = activities(activity(100, 500, LOOKUP, WANTS), activity(700, 900, LOOKUP, WANTS))
    did = chains(record, done={record.thread(TID): seen}).did(record.thread(TID), at(when_ms))
    assert [one.stack for one in [did] if one] == [LOOKUP] * known


RUNS = Wait(WaitKind.ON_CPU)
A, B, C, D = (stack(f"run@/app/cache.py:1 > {name}@/app/cache.py:9") for name in "abcd")


def longest(*parts: tuple[float, float, Stack, Wait], until_ms: float = 900) -> Stack | None:
    """What a thread is said to do from 250 ms until then."""
    key = worker().thread(TID)
    seen = activities(*(activity(*part) for part in parts))
    did = chains(worker(), done={key: seen}).did(key, at(250), at(until_ms))
    return None if did is None else did.stack


def test_of_a_thread_that_runs_on_it_is_what_it_does_the_longest_from_there_on() -> None:
    before, now = (0, 200, A, RUNS), (200, 300, B, RUNS)
    assert longest(before, now, (300, 450, C, RUNS)) == C
    assert longest(before, now, (300, 350, C, RUNS), (350, 600, D, RUNS)) == D
    assert longest(before, now, (300, 550, C, RUNS), (550, 600, D, RUNS)) == C
    assert longest(before, now) == B, "not what it did before"


@pytest.mark.parametrize(
    "then",
    [
        [(301, 900, C, RUNS)],
        [(300, 900, C, WANTS)],
        [(300, 350, C, WANTS), (350, 900, D, RUNS)],
    ],
    ids=["after a gap", "in a wait", "after a wait"],
)
def test_and_nothing_that_it_does_after_it_has_stopped_to_run(
    then: list[tuple[float, float, Stack, Wait]],
) -> None:
    assert longest((200, 300, B, RUNS), *then) == B


def test_what_a_thread_does_that_waits_is_that_wait() -> None:
    assert longest((200, 300, B, WANTS), (300, 900, C, RUNS)) == B


def test_what_begins_after_that_time_does_not_count() -> None:
    parts = (200, 300, B, RUNS), (300, 900, C, RUNS)
    assert longest(*parts, until_ms=300) == B
    assert longest(*parts, until_ms=301) == C


def test_of_a_thread_or_process_that_is_not_known_the_kernel_told_nothing() -> None:
    some = looked()
    assert some.states(ThreadKey(100, TID)) == STOOD
    assert some.states(ThreadKey(100, OTHER)) is NO_STATES
    assert some.states(ThreadKey(200, TID)) is NO_STATES


# --- which look tells of a time --------------------------------------------------------------------


def test_the_last_look_at_a_standstill_tells_of_all_of_it() -> None:
    looks = look(100, TID), look(300, TID), look(400, OTHER), look(499, OTHER)
    assert seen_at(looks, 100) == looks[1]
    assert seen_at(looks, 499) == looks[1]
    assert seen_at(looks[:1], 499) == looks[0], "also the one as it begins"


@pytest.mark.parametrize("when_ms", [50, 499, 550])
def test_a_look_at_another_standstill_tells_nothing(when_ms: float) -> None:
    looks = look(60, TID), look(500, TID), look(700, TID)
    assert seen_at(looks, when_ms) == WaitForEvent(at(when_ms), ())


def test_a_thread_or_process_that_is_not_known_was_not_looked_at() -> None:
    assert seen_at([look(300, OTHER)], 300, OTHER) == WaitForEvent(at(300), ())
    nobody = looked(look(300, TID)).seen_at(ThreadKey(200, TID), at(300))
    assert nobody == WaitForEvent(at(300), ())


# --- who holds it ----------------------------------------------------------------------------------

OWN = ThreadKey(100, 0)
FIRST, SECOND = ThreadKey(200, 201, 0), ThreadKey(200, 201, 1)
"""A thread of two processes that had one pid after the other."""


def party(holder: Holder, when_ms: float) -> Party:
    done = {FIRST: waited(0, 500), SECOND: waited(600, 900)}
    workers = [worker(), *(replace(worker(200), process=key.process) for key in done)]
    return chains(*workers, done=done).party(OWN, holder, at(when_ms))


@pytest.mark.parametrize(("when_ms", "key"), [(300, FIRST), (700, SECOND), (550, SECOND)])
def test_of_processes_with_one_pid_that_one_is_meant_which_was_there(
    when_ms: float, key: ThreadKey
) -> None:
    assert party(Holder(201, "with", pid=200), when_ms) == Party(key)


def test_a_task_of_another_process_is_that_task() -> None:
    assert party(Holder(201, "with", task=0xA1, pid=200), 300) == Party(FIRST, 0xA1)


def test_a_holder_of_the_own_process_is_of_that_one_whoever_had_its_pid_before_or_after() -> None:
    later = replace(worker(), process=1)
    done = {later.thread(OTHER): waited(0, 900)}
    some = chains(worker(), later, done=done)
    for holder in (Holder(OTHER, "with"), Holder(OTHER, "with", pid=100)):
        assert some.party(OWN, holder, at(300)) == Party(ThreadKey(100, OTHER))


def test_a_thread_of_a_process_that_was_not_recorded_is_none_of_the_own_process() -> None:
    assert party(Holder(301, "with", pid=300), 300) == Party(ThreadKey(300, 301))
