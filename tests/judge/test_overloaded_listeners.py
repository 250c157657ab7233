"""Listening sockets whose workers work all along, and yet let connections in late."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from tests.examples.build import ARCH, activities, activity, at, ms, stack, states, worker
from waitspy.judge import listeners, overloaded_listeners
from waitspy.judge.episode import Starvation
from waitspy.judge.findings import judge
from waitspy.model.activities import Activities
from waitspy.model.listeners import ListenerEvent
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.requests import RequestsEvent
from waitspy.model.stacks import Stack
from waitspy.model.threads import KernelStates
from waitspy.model.waits import Wait, WaitKind

END = 3_000
NAME = "127.0.0.1:80"
VIEW = stack("serve@/app/server.py:20 > view@/app/views.py:7")
ACCEPT = stack("serve@/app/server.py:9")
SELECTS = stack("serve_forever@lib/socketserver.py:235")
COMPUTES, UNKNOWN = Wait(WaitKind.ON_CPU), Wait(WaitKind.UNKNOWN)
SLEEPS = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")
ACCEPTS = Wait(WaitKind.SOCKET, "accept", "accept4")
POLLS = Wait(WaitKind.SOCKET, "selector.select", "poll")
BUSY = states((0, "run"), (END, "run"))


def outside(
    when: float,
    many: int,
    since: float | None = None,
    let_in: int = 0,
    had_since: float | None = None,
    port: int = 80,
) -> RequestsEvent:
    """A look at who waits to be accepted, and has for long (milliseconds)."""
    since_ns = None if since is None else at(since)
    had_ns = None if had_since is None else at(had_since)
    return RequestsEvent(at(when), port, 0, 0, None, many, since_ns, since_ns, let_in, had_ns)


LATE = (
    outside(300, 2, 100),
    outside(800, 2, 400, let_in=1, had_since=100),
    outside(1_300, 0, let_in=2, had_since=500),
)


def process(pid: int, *looks: RequestsEvent, kernel: KernelStates = BUSY) -> WorkerRecord:
    rows = (
        ListenerEvent(at(0), 500, name=NAME, fd=3),
        ListenerEvent(at(100), 500, waiting=2),
        ListenerEvent(at(200), 500, accepted=1),
    )
    made = worker(pid, kernel={pid: kernel}, listeners=rows, requests=looks)
    return replace(made, worker=replace(made.worker, ppid=50))


def did(*parts: tuple[float, float, Stack, Wait]) -> Activities:
    return activities(*(activity(*part) for part in parts))


ALL_ALONG = did((0, END, VIEW, COMPUTES))


def found(*of: tuple[WorkerRecord, Activities]) -> list[Starvation]:
    workers = [one for one, _ in of]
    done = {one.thread(one.worker.pid): what for one, what in of}
    some = listeners.find(workers, ARCH)
    blocked = [
        one for each in some
        for one in listeners.starvations(each, workers, done, at(END), 100_000_000)
    ]  # fmt: skip
    return list(overloaded_listeners.find(some, workers, done, blocked, at(END), 100_000_000))


def told(one: Starvation) -> list[tuple[float, float, int]]:
    """From when to when how many connections waited."""
    return [(ms(item.start_ns), ms(item.end_ns), item.count) for item in one.items]


def test_who_computes_all_along_lets_connections_in_late() -> None:
    (one,) = found((process(100, *LATE), ALL_ALONG))
    assert (one.kind.name, one.verdict) == ("accept-backlog", "late")
    assert (ms(one.start_ns), ms(one.end_ns)) == (100, 1_300)
    assert told(one) == [(100, 800, 1), (500, 1_300, 2)]
    assert one.detail == "connections to 127.0.0.1:80: its only worker busy"
    (finding,) = judge([one], {}, 3.0)
    assert finding.blame is not None
    assert (finding.blame.function, finding.wait.kind) == ("view", WaitKind.ON_CPU)


def test_who_still_waits_at_the_end_has_waited_until_then() -> None:
    (one,) = found((process(100, *LATE[:2]), ALL_ALONG))
    assert ms(one.end_ns) == END
    assert told(one) == [(100, 800, 1), (400, END, 2)]


def test_another_one_may_go_on_to_tell_where_the_first_one_has_ended() -> None:
    first, second = process(100, LATE[2]), process(101, *LATE[:2])
    (one,) = found((first, ALL_ALONG), (second, ALL_ALONG))
    assert told(one) == [(100, 800, 1), (500, 1_300, 2)]


@pytest.mark.parametrize(
    "idles",
    [
        did((0, 700, VIEW, COMPUTES), (700, END, ACCEPT, ACCEPTS)),
        did((0, 700, VIEW, COMPUTES), (700, END, SELECTS, POLLS)),
        did((0, 700, VIEW, COMPUTES), (700, END, VIEW, UNKNOWN)),
        did((0, 700, VIEW, COMPUTES)),
    ],
)
def test_if_one_of_them_is_not_known_to_work_something_else_keeps_them_out(
    idles: Activities,
) -> None:
    first, second = process(100, *LATE), process(101)
    assert found((first, ALL_ALONG), (second, idles)) == []
    (one,) = found((first, ALL_ALONG), (second, ALL_ALONG))
    assert one.detail == "connections to 127.0.0.1:80: all 2 workers busy"


def test_a_worker_of_which_no_stack_is_known_may_have_idled() -> None:
    first, second = process(100, *LATE), process(101)
    some = listeners.find([first, second], ARCH)
    done = {first.thread(100): ALL_ALONG}
    late = overloaded_listeners.find(some, [first, second], done, [], at(END), 100_000_000)
    assert list(late) == []


def test_a_port_whose_workers_are_blocked_says_nothing_of_the_next_one() -> None:
    blocked = states((0, "clock_nanosleep 1"))
    first = process(100, *LATE, kernel=blocked)
    looks = tuple(structs.replace(one, port=81) for one in LATE)
    rows = tuple(
        structs.replace(row, inode=501, name=row.name and "127.0.0.1:81") for row in first.listeners
    )
    second = replace(process(101, *looks), listeners=rows)
    (one,) = found((first, did((0, END, VIEW, SLEEPS))), (second, ALL_ALONG))
    assert one.place == "127.0.0.1:81"


def test_short_waits_count_as_work() -> None:
    parts = [(n * 60.0, n * 60.0 + 50, VIEW, SLEEPS) for n in range(50)]
    accepts = [(n * 60.0 + 50, n * 60.0 + 60, ACCEPT, ACCEPTS) for n in range(50)]
    assert len(found((process(100, *LATE), did(*sorted([*parts, *accepts]))))) == 1


def test_another_port_says_nothing_of_it() -> None:
    other = (outside(300, 2, 100, port=81), outside(900, 0, let_in=2, had_since=100, port=81))
    assert found((process(100, *other), ALL_ALONG)) == []


def test_nobody_who_waits_for_shorter_is_told() -> None:
    assert found((process(100, outside(300, 0), outside(600, 0)), ALL_ALONG)) == []


def test_if_they_are_blocked_for_most_of_it_that_alone_is_told() -> None:
    blocked = states((0, "clock_nanosleep 1"))
    asleep = did((0, END, VIEW, SLEEPS))
    assert found((process(100, *LATE, kernel=blocked), asleep)) == []


def test_no_episode_spans_a_gap_or_what_was_before_the_recording() -> None:
    one = replace(process(100, *LATE), gaps=((at(600), at(700)),), attached_ns=at(200))
    before, after = found((one, ALL_ALONG))
    assert [(ms(s.start_ns), ms(s.end_ns)) for s in (before, after)] == [(200, 600), (700, 1_300)]
    assert told(before) == [(100, 600, 2)]
    assert told(after) == [(100, 800, 1), (500, 1_300, 2)], "of what was let in after the gap"


@pytest.mark.parametrize(("gap_ms", "starts"), [(200, [100, 600]), (199, [600])])
def test_what_a_gap_leaves_of_it_is_an_episode_only_if_it_is_long_enough(
    gap_ms: float, starts: list[float]
) -> None:
    one = replace(process(100, *LATE), gaps=((at(gap_ms), at(600)),))
    assert [ms(s.start_ns) for s in found((one, ALL_ALONG))] == starts


def test_who_was_seen_to_wait_waits_on_between_two_gaps_without_another_look() -> None:
    one = replace(process(100, *LATE), gaps=((at(310), at(320)), (at(700), at(710))))
    _, between, _ = found((one, ALL_ALONG))
    assert (ms(between.start_ns), ms(between.end_ns)) == (320, 700)
    assert told(between) == [(100, 700, 2)]


def test_no_episode_goes_on_after_its_worker_has_ended() -> None:
    (one,) = found((replace(process(100, *LATE), gone_ns=at(1_200)), ALL_ALONG))
    assert (ms(one.start_ns), ms(one.end_ns)) == (100, 1_200)


def test_the_episode_is_its_workers_and_tells_of_connections_and_how_many_were_let_in() -> None:
    (one,) = found((replace(process(100, *LATE), process=1), ALL_ALONG))
    assert one.thread == ThreadKey(100, 100, 1)
    assert (one.place, one.evidence) == (NAME, ("requests", "threads"))
    assert {(item.kind, item.name) for item in one.items} == {
        ("connection", f"connections to accept on {NAME}")
    }
    assert one.served == 1, "those that it ends with were not served within it"


def test_who_still_waits_is_told_by_the_same_name() -> None:
    (one,) = found((process(100, *LATE[:2]), ALL_ALONG))
    assert len({item.name for item in one.items}) == 1


@pytest.mark.parametrize(("since", "told_of"), [(1_200, 1), (1_201, 0)])
def test_only_those_who_waited_for_long_are_told(since: float, told_of: int) -> None:
    """On average: of those that were let in, some may have waited for long."""
    looks = (outside(600, 1, 100), outside(1_300, 0, let_in=3, had_since=since))
    (one,) = found((process(100, *looks), ALL_ALONG))
    assert [item for item in told(one) if item[2] == 3] == [(since, 1_300, 3)] * told_of


def test_what_was_let_in_as_an_episode_begins_is_no_part_of_it() -> None:
    looks = (outside(300, 1, 100), outside(700, 1, 400, let_in=5, had_since=200), LATE[2])
    one = replace(process(100, *looks), gaps=((at(650), at(700)),))
    _, after = found((one, ALL_ALONG))
    assert told(after) == [(500, 1_300, 2)]


def test_old_recordings_know_nothing_of_it() -> None:
    looks: Any = (RequestsEvent(at(300), 80, 2, 2, at(100)),)
    assert found((process(100, *looks), ALL_ALONG)) == []
