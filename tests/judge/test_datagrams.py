"""Sockets for datagrams: something lay unread while all who read there did other things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.examples.build import ARCH, activities, activity, at, ms, stack, states, worker
from waitspy.judge import datagrams
from waitspy.judge.episode import Starvation
from waitspy.model.datagrams import DatagramEvent
from waitspy.model.judged import UnreadDatagrams
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.threads import KernelState
from waitspy.model.waits import Wait, WaitKind

INODE, FD, FRAME = 500, 3, 0x7F00
NAME = "127.0.0.1:53"
END = 3_000
HANDLER = stack("<module>@/app/main.py:9 > serve@/app/server.py:20 > view@/app/views.py:7")
SLEEPS = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")
RUNS = Wait(WaitKind.ON_CPU)
BLOCKED = states((0, "clock_nanosleep 1"))
BUSY = states((0, "run"))
NAPS = states(*[(n * 50.0, "clock_nanosleep 1") for n in range(END // 50)])


def unread(
    *rows: tuple[float, int, int | None], dropped: int | None = 0, name: str = NAME
) -> list[DatagramEvent]:
    """A process that holds the socket, and what was in it (milliseconds, size, count of reads)."""
    found = [DatagramEvent(at(0), INODE, name=name, fd=FD)]
    return found + [
        DatagramEvent(at(when), INODE, unread=size, dropped=dropped, taken=taken)
        for when, size, taken in rows
    ]


def looked(
    *readers: tuple[int, int], asking: Sequence[int] = (), in_loop: bool = False, when: float = 200
) -> DatagramEvent:
    return DatagramEvent(
        at(when), INODE, looked=True, readers=readers, asking=tuple(asking), in_loop=in_loop
    )


def process(
    pid: int, events: Sequence[DatagramEvent], kernel: Sequence[KernelState], ppid: int = 50
) -> WorkerRecord:
    made = worker(pid, kernel={pid: kernel}, datagrams=tuple(events))
    return replace(made, worker=replace(made.worker, ppid=ppid))


def found(*workers: WorkerRecord, wait: Wait = SLEEPS, shown: Stack = HANDLER) -> list[Starvation]:
    done = {
        w.thread(tid): activities(activity(0, END, shown, wait))
        for w in workers
        for tid in w.states
    }
    return [
        starved
        for queue in datagrams.find(workers, ARCH, at(END))
        for starved in datagrams.starvations(queue, workers, done, at(END), 100_000_000)
    ]


def told(*workers: WorkerRecord) -> tuple[UnreadDatagrams, ...]:
    return datagrams.unread(datagrams.find(workers, ARCH, at(END)))


WAITING = unread((0, 0, None), (100, 832, 7), (400, 1_664, 7), (900, 832, 8), (1_000, 0, None))
READER = looked((100, FRAME))


def test_what_lies_unread_while_its_only_reader_is_blocked() -> None:
    (one,) = found(process(100, [*WAITING, READER], BLOCKED))
    assert (one.kind.name, one.verdict) == ("accept-backlog", "starving")
    assert ms(one.start_ns) == 100
    assert 840 <= ms(one.end_ns) <= 900  # somebody has read between the looks
    assert one.waiting == 1  # how many datagrams it is nobody knows
    assert [(i.kind, i.name) for i in one.items] == [("io", f"datagrams unread on UDP {NAME}")]
    assert one.detail == f"datagrams on UDP {NAME}: the only thread that reads them blocked"


def test_a_reader_at_work_is_late_where_nobody_has_read() -> None:
    (one,) = found(process(100, [*WAITING, READER], BUSY), wait=RUNS)
    assert one.verdict == "late"
    assert one.detail is not None
    assert one.detail.endswith("at work")
    not_known = unread((100, 832, None), (900, 0, None))
    assert found(process(100, [*not_known, READER], BUSY), wait=RUNS) == []
    reads_on = unread(*[(100 + 50.0 * n, 832, n) for n in range(20)], (1_100, 0, None))
    assert found(process(100, [*reads_on, READER], BUSY), wait=RUNS) == []


def test_short_naps_between_reads_are_no_stall() -> None:
    rows = unread(*[(100 + 50.0 * n, 832, n) for n in range(20)], (1_100, 0, None))
    assert found(process(100, [*rows, READER], NAPS)) == []


def test_who_reads_is_known_by_its_calls_too() -> None:
    kernel = states((0, "recvfrom 3"), (90, "clock_nanosleep 1"))
    nobody = looked()
    (one,) = found(process(100, [*WAITING, nobody], kernel))
    assert one.verdict == "starving"
    other = states((0, "recvfrom 4"), (90, "clock_nanosleep 1"))
    assert found(process(100, [*WAITING, nobody], other)) == []


def test_what_is_read_while_they_stand_is_read_by_others() -> None:
    rows = unread(*[(100 + 50.0 * n, 832 - n, n) for n in range(20)], (1_500, 0, None))
    assert [ms(one.start_ns) for one in found(process(100, [*rows, READER], BLOCKED))] == [1_050]


def test_every_reader_has_to_be_blocked() -> None:
    first = process(100, [*WAITING, READER], BLOCKED)
    shared = [DatagramEvent(at(0), INODE, name=NAME, fd=FD), looked((101, FRAME + 8))]
    (one,) = found(first, process(101, shared, BLOCKED))
    assert one.detail is not None
    assert "all 2 threads that read them" in one.detail
    without_count = unread((100, 832, None), (900, 0, None))
    first = process(100, [*without_count, READER], BLOCKED)
    assert found(first, process(101, shared, NAPS)) == []


def test_a_frame_that_a_forked_process_shares_with_its_parent_tells_nothing() -> None:
    parent = process(100, [*WAITING, READER], BLOCKED)
    shared = [DatagramEvent(at(0), INODE, name=NAME, fd=FD)]
    child = process(101, [*shared, looked((101, FRAME))], BLOCKED, ppid=100)
    assert found(parent, child) == []
    child = process(101, [*shared, looked((101, FRAME), (101, FRAME + 8))], BLOCKED, ppid=100)
    assert [one.pid for one in found(parent, child)] == [101]


def test_a_loop_a_client_and_what_was_never_looked_at_are_silent() -> None:
    long = unread((100, 832, 7))
    for rows in (
        [*long, looked((100, FRAME), in_loop=True)],
        [*long, looked(asking=[100])],
        long,
    ):
        assert found(process(100, rows, BLOCKED)) == []
        assert told(process(100, rows, BLOCKED)) == ()


def test_who_polls_for_something_to_come_is_not_blamed() -> None:
    polls = Wait(WaitKind.LOOP_POLL, None, "poll")
    assert found(process(100, [*WAITING, READER], BLOCKED), wait=polls) == []


# --- what waits ---------------------------------------------------------------------------------


def test_what_nobody_reads_is_told_whoever_should() -> None:
    assert told(process(100, [*unread((100, 832, 7)), looked()], BLOCKED)) == (
        UnreadDatagrams(f"UDP {NAME}", 2.9),
    )
    assert told(process(100, [*WAITING, looked()], BLOCKED)) == ()  # less than a second


def test_without_a_count_it_has_to_get_longer_all_along() -> None:
    grows = [*unread((100, 832, None), (1_100, 1_664, None), (2_100, 0, None)), looked()]
    (one,) = told(process(100, grows, BLOCKED))
    assert one.longest_s is not None
    assert 1.9 <= one.longest_s <= 2.0
    shrinks = unread((100, 1_664, None), (1_000, 832, None), (1_900, 0, None))
    assert told(process(100, [*shrinks, looked()], BLOCKED)) == ()


def test_what_gets_longer_though_some_is_read_is_not_unread() -> None:
    rows = unread(*[(100 + 500.0 * n, 832 * (n + 1), n) for n in range(6)])
    assert told(process(100, [*rows, looked()], BLOCKED)) == ()


def test_what_found_no_room_is_told() -> None:
    first = unread((100, 832, 7), dropped=3)
    last = [DatagramEvent(at(200 + n), INODE, unread=832, dropped=3 + n, taken=n) for n in range(9)]
    assert told(process(100, [*first, *last, looked(), last[-1]], NAPS)) == (
        UnreadDatagrams(f"UDP {NAME}", 2.792, 8),
    )
    full = [
        DatagramEvent(at(100 + 50 * n), INODE, unread=832, dropped=n, taken=n) for n in range(58)
    ]
    assert told(process(100, [*unread(), *full, looked()], NAPS)) == (
        UnreadDatagrams(f"UDP {NAME}", None, 57),
    )


def test_of_a_unix_socket_only_its_readers_tell() -> None:
    rows = unread((100, 3, None), (900, 0, None), name="/run/shop")
    (one,) = found(process(100, [*rows, READER], BLOCKED))
    assert one.place == "/run/shop"
    assert told(process(100, [*unread((100, 3, None), name="/run/shop"), READER], BLOCKED)) == ()


def test_how_many_were_watched() -> None:
    rows = [DatagramEvent(at(0), INODE, name=NAME, fd=FD)]
    looped = [
        DatagramEvent(at(0), INODE + 1, name=NAME, fd=FD),
        DatagramEvent(at(9), INODE + 1, looked=True, in_loop=True),
    ]
    assert datagrams.seen([process(100, rows, BLOCKED), process(101, rows + looped, BLOCKED)]) == 1
