"""Messages that lay unread while the thread that reads them stood in another wait."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.examples.build import activities, activity, at, stack, states, worker
from waitspy.judge import messages
from waitspy.model.activities import Activity
from waitspy.model.clock import NS
from waitspy.model.judged import UnreadMessages
from waitspy.model.messages import MessageEvent
from waitspy.model.waits import Wait, WaitKind

INODE, PEER, TID = 500, "10.0.0.7:6379", 100
END = 5_000
HANDLER = stack("<module>@/app/main.py:9 > consume@/app/consumer.py:20 > handle@/app/jobs.py:7")
SLEEPS = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")
QUIET = 250  # milliseconds, before what is new

Row = tuple[float, int, int, float]
GOES_ON: Sequence[Row] = ((0, 0, 0, 0), (500, 26, 0, QUIET), (800, 52, 0, QUIET), (3_000, 0, 52, 0))


def events(
    rows: Sequence[Row], readers: Sequence[int] = (TID,), inode: int = INODE
) -> list[MessageEvent]:
    """A connection, and what was in it: milliseconds, unread, read so far, quiet before."""
    found = [MessageEvent(at(0), inode, peer=PEER, reader=tid) for tid in readers]
    return found + [
        MessageEvent(at(when), inode, unread=size, read=read, quiet_ns=at(quiet) - at(0))
        for when, size, read, quiet in rows
    ]


def told(
    *some: MessageEvent, did: Sequence[Activity] = (), gone: float | None = None
) -> tuple[UnreadMessages, ...]:
    made = worker(TID, kernel={TID: states((0, "clock_nanosleep 1"))}, messages=tuple(some))
    if gone is not None:
        made = worker(TID, messages=tuple(some), gone_ns=at(gone))
    done = {made.thread(TID): activities(*(did or [activity(0, END, HANDLER, SLEEPS)]))}
    return messages.unread([made], done, {}, at(END))


def test_more_comes_while_the_reader_is_held_up() -> None:
    (one,) = told(*events(GOES_ON))
    assert one.peer == PEER
    assert 2.4 <= one.longest_s <= 2.5  # somebody has read between the looks
    reader = one.reader
    assert (reader.function, reader.file, reader.line) == ("handle", "/app/jobs.py", 7)
    assert (reader.awaits, reader.count) == ("time.sleep (clock_nanosleep)", 1)
    (to_the_end,) = told(*events(GOES_ON[:-1]))
    assert to_the_end.longest_s == 4.5
    (gone,) = told(*events(GOES_ON[:-1]), gone=2_000)
    assert gone.longest_s == 1.5
    (closed,) = told(*events(GOES_ON[:-1]), MessageEvent(at(3_000), INODE, closed=True))
    assert closed.longest_s == one.longest_s


@pytest.mark.parametrize(
    "rows",
    [
        ((0, 0, 0, 0), (500, 26, 0, QUIET), (1_400, 0, 26, 0)),  # soon read
        ((0, 26, 0, 0),),  # a farewell, or a ticket: nothing more comes
        ((0, 0, 0, 0), (500, 26, 0, 0)),  # it was asked for
        ((0, 900, 0, 0), (50, 1_800, 0, 50), (100, 2_700, 0, 50)),  # a download, until it is full
        ((0, 0, 0, 0), (500, 900, 100, 450), (550, 1_800, 100, 0)),  # an answer that took a while
        ((0, 26, 0, 0), (900, 26, 9, 0), (1_800, 26, 18, QUIET), (2_700, 26, 27, 0)),  # it is read
    ],
)
def test_what_may_be_meant_to_lie_is_not_told(rows: Sequence[Row]) -> None:
    assert told(*events(rows)) == ()


@pytest.mark.parametrize(
    "wait",
    [
        Wait(WaitKind.ON_CPU),  # at work with what it has read
        Wait(WaitKind.UNKNOWN),
        Wait(WaitKind.POOL_IDLE, "worker", "futex"),
        Wait(WaitKind.QUEUE, "queue.Queue.get", "futex"),
        Wait(WaitKind.SOCKET, "accept", "accept4"),
        Wait(WaitKind.LOOP_POLL, "epoll.poll", "epoll_wait"),
    ],
)
def test_a_reader_that_works_or_waits_for_anything_is_not_held_up(wait: Wait) -> None:
    assert told(*events(GOES_ON), did=[activity(0, END, HANDLER, wait)]) == ()
    mixed = [activity(0, 1_500, HANDLER, SLEEPS), activity(1_500, END, HANDLER, wait)]
    assert told(*events(GOES_ON), did=mixed) == ()


def test_a_reader_that_waits_for_room_in_a_queue_is_held_up() -> None:
    puts = Wait(WaitKind.QUEUE, "queue.Queue.put", "futex")
    (one,) = told(*events(GOES_ON), did=[activity(0, END, HANDLER, puts)])
    assert one.reader.awaits == "queue.Queue.put (futex)"


def test_all_who_read_have_to_be_held_up() -> None:
    assert told(*events(GOES_ON, (TID, 101))) == ()
    assert told(*events(GOES_ON, ())) == ()


def test_who_has_stood_for_long_before_has_read_nothing() -> None:
    main = stack("<module>@/app/main.py:9")
    rows = [(2_000, 26, 0, 0), (2_500, 52, 0, QUIET), (3_500, 0, 52, 0)]
    signal = Wait(WaitKind.LOCK, "Event.wait", "futex")
    made = worker(TID, kernel={tid: states((0, "futex 1")) for tid in (TID, 101)},
                  messages=tuple(events(rows, (TID, 101))))  # fmt: skip
    done = {
        made.thread(TID): activities(activity(0, END, main, signal)),
        made.thread(101): activities(
            activity(0, 1_990, main, Wait(WaitKind.SOCKET, "recv", "recvfrom")),
            activity(1_990, 2_900, HANDLER, SLEEPS),
            activity(2_900, END, HANDLER, Wait(WaitKind.FILE, "fsync", "fsync")),
        ),
    }
    (one,) = messages.unread([made], done, {}, at(END))
    assert (one.reader.function, one.reader.awaits) == ("handle", "time.sleep (clock_nanosleep)")


def test_one_line_for_a_peer_and_a_place_and_the_longest_first() -> None:
    shorter = ((0, 0, 0, 0), (500, 26, 0, QUIET), (800, 52, 0, QUIET), (2_000, 0, 52, 0))
    (one,) = told(*events(shorter), *events(GOES_ON, inode=501))
    assert one.longest_s > 2
    other = [MessageEvent(e.at_ns, 502, peer="a:1", reader=e.reader, unread=e.unread, read=e.read,
                          quiet_ns=e.quiet_ns) for e in events(shorter)]  # fmt: skip
    assert [o.peer for o in told(*events(GOES_ON), *other)] == [PEER, "a:1"]
    assert told(*events(GOES_ON))[0].longest_s * NS < at(END)
