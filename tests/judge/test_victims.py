"""Who waited behind an episode: names, counts and times, and timeouts that need not have fired."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.examples.build import at, sock
from waitspy.judge import victims
from waitspy.judge.episode import Item, Look, Starvation
from waitspy.model.epolls import UnreadSocket
from waitspy.model.judged import Victim
from waitspy.model.kinds import BLOCKED_LOOP

REPLY = sock(9, inbound=False, peer="10.0.0.7:5432")
REQUEST = sock(3)
QUERY, FETCH = "query", "fetch"
WHERE = "/app/db.py:7"


def episode(
    *items: Item,
    looks: Sequence[tuple[float, Sequence[UnreadSocket]]] = (),
    start: float = 1_000,
    end: float = 2_000,
) -> Starvation:
    return Starvation(
        kind=BLOCKED_LOOP,
        verdict="starving",
        pid=100,
        tid=100,
        place="epoll descriptor 5",
        start_ns=at(start),
        end_ns=at(end),
        held_by={},
        base=None,
        evidence=("epoll",),
        looks=tuple(Look(at(ms), tuple(sockets)) for ms, sockets in looks),
        items=items,
    )


def guard(name: str = QUERY, start: float = 1_200, end: float = 2_000) -> Item:
    """A timer that limits the time of a task of that name."""
    return Item("timer", name, WHERE, at(start), at(end), guards=True)


def told(*episodes: Starvation) -> set[tuple[str, str, int, float]]:
    """Kind, name, count and seconds; what waits in sockets is left out."""
    found = victims.of(episodes)
    return {(v.kind, v.name, v.count, round(v.waited_s, 6)) for v in found if v.kind != "io"}


# --- what waits by itself ---------------------------------------------------------------------------


def test_items_of_one_name_and_place_are_counted_and_their_times_added() -> None:
    items = (
        Item("callback", "beat", WHERE, at(1_000), at(1_500)),
        Item("callback", "beat", WHERE, at(1_250), at(1_500), count=2),
        Item("callback", "beat", "/app/db.py:8", at(1_000), at(1_500)),
        Item("timer", "beat", WHERE, at(1_400), at(1_500)),
        Item("timer", "beat", None, at(1_000), at(1_500)),
    )
    assert victims.of([episode(*items)]) == (
        Victim("callback", "beat", WHERE, 3, 1.0),
        Victim("timer", "beat", None, 1, 0.5),
        Victim("callback", "beat", "/app/db.py:8", 1, 0.5),
        Victim("timer", "beat", WHERE, 1, 0.1),
    )
    twice = [episode(items[0]), episode(items[0])]
    assert victims.of(twice) == (Victim("callback", "beat", WHERE, 2, 1.0),)


def test_with_nothing_known_of_what_waits_it_is_the_loops_io() -> None:
    assert victims.of([episode(looks=[(1_100, [])])]) == (
        Victim("io", "ready I/O on epoll descriptor 5", None, 1, 1.0),
    )


# --- timeouts ---------------------------------------------------------------------------------------


def test_a_timeout_with_no_reply_is_just_one() -> None:
    for looks in ([], [(1_100, [REQUEST])], [(1_100, [sock(9, kind="eof", inbound=False)])]):
        assert told(episode(guard(), looks=looks)) == {("timer", "timeout of query", 1, 0.8)}


def test_a_timeout_is_spurious_where_the_reply_lies_unread() -> None:
    name = "spurious timeout of query (a reply is already there)"
    # The first look holds from the episode's start on, another one from its own time.
    first = episode(guard(), looks=[(1_300, [REPLY])])
    assert told(first) == {("timer", name, 1, 0.8), ("task", QUERY, 1, 1.0)}
    second = episode(
        guard(), looks=[(1_300, [REQUEST]), (1_500, [REQUEST, REPLY]), (1_600, [REPLY])]
    )
    assert told(second) == {("timer", name, 1, 0.8), ("task", QUERY, 1, 0.5)}
    (task,) = [v for v in victims.of([second]) if v.kind == "task"]
    assert task.where == WHERE


@pytest.mark.parametrize(("end", "spurious"), [(1_499, False), (1_500, True)])
def test_a_reply_that_comes_after_the_timer_was_served_is_too_late(
    end: float, *, spurious: bool
) -> None:
    looks = [(1_300, [REQUEST]), (1_500, [REPLY])]
    (name,) = [n for kind, n, _, _ in told(episode(guard(end=end), looks=looks)) if kind == "timer"]
    assert name.startswith("spurious") == spurious


def test_whose_reply_it_is_is_not_guessed_where_there_are_fewer_replies_than_timeouts() -> None:
    guards = (guard(), guard(FETCH), Item("timer", "beat", None, at(1_900), at(2_000)))
    one = told(episode(*guards, looks=[(1_300, [REPLY])]))
    assert {name for kind, name, _, _ in one if kind == "task"} == set()
    assert ("timer", "beat", 1, 0.1) in one
    both = told(episode(*guards, looks=[(1_300, [REPLY, sock(10, inbound=False)])]))
    assert {name for kind, name, _, _ in both if kind == "task"} == {QUERY, FETCH}


# --- sockets ----------------------------------------------------------------------------------------


def test_a_look_holds_until_the_next_one() -> None:
    looks = [(1_200, [REQUEST]), (1_400, [REQUEST, sock(4)]), (1_500, []), (1_900, [sock(4)])]
    assert victims.of([episode(looks=looks)]) == (
        Victim("io", "requests on port 8000", None, 2, 1.5),
    )


def test_a_socket_that_waits_twice_counts_twice() -> None:
    some = [
        episode(looks=[(1_100, [REQUEST])]),
        episode(looks=[(2_100, [REQUEST])], start=2_000, end=2_500),
        episode(looks=[(4_100, [REQUEST])], start=4_000, end=4_500),
    ]
    assert victims.of(some) == (Victim("io", "requests on port 8000", None, 2, 2.0),)


@pytest.mark.parametrize(("size", "count"), [(0, 1), (1, 1), (3, 3)])
def test_the_connections_of_a_queue_are_counted_and_one_at_least(size: int, count: int) -> None:
    queue = sock(7, size, kind="listener")
    assert victims.of([episode(looks=[(1_100, [queue])])]) == (
        Victim("connection", "connections to accept on 127.0.0.1:8000", None, count, count * 1.0),
    )


def test_a_shared_queue_counts_as_the_worker_says_that_saw_most() -> None:
    shared = [
        episode(looks=[(1_100, [sock(7, 2, kind="listener")])]),
        episode(looks=[(1_600, [sock(7, 5, kind="listener")])], start=1_500, end=1_750),
    ]
    (one,) = victims.of(shared)
    assert (one.count, one.waited_s) == (5, 0.75 * 2 + 0.25 * 5)


@pytest.mark.parametrize(
    ("socket", "name"),
    [
        (sock(1, local="[::1]:8000"), "requests on port 8000"),
        (sock(1, local="[::1]:8000", kind="eof"), "closed connections on port 8000"),
        (REPLY, "unread data from 10.0.0.7:5432"),
        (
            sock(1, kind="eof", inbound=False, peer="10.0.0.7:5432"),
            "end of the connection to 10.0.0.7:5432",
        ),
        (sock(1, kind="listener"), "connections to accept on 127.0.0.1:8000"),
    ],
)
def test_sockets_are_named_by_what_their_peer_is(socket: UnreadSocket, name: str) -> None:
    assert victims.name_of(socket) == name
