"""Who waited behind an episode: unread sockets by what they are, with how long they waited."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from waitspy.judge.episode import Item, Look, Starvation
from waitspy.model.clock import NS
from waitspy.model.epolls import UnreadSocket
from waitspy.model.judged import Victim, VictimKind


@dataclass(frozen=True, slots=True)
class _Piece:
    """So many items of one name waited over a span; ``key`` tells which ones are the same."""

    kind: VictimKind
    name: str
    where: str | None
    key: int | None
    start_ns: int
    end_ns: int
    count: int = 1


def of(episodes: Sequence[Starvation]) -> tuple[Victim, ...]:
    """The victims of those episodes by name, the longest wait first.

    A look at the sockets holds until the next one, the first from the episode's start on. The
    accept queue that several workers share is counted once.
    """
    pieces: dict[tuple[VictimKind, str, str | None], list[_Piece]] = {}
    for episode in episodes:
        for piece in _pieces(episode):
            pieces.setdefault((piece.kind, piece.name, piece.where), []).append(piece)
    found = []
    for (kind, name, where), some in pieces.items():
        count, waited_ns = _sum(some)
        found.append(Victim(kind, name, where, count, waited_ns / NS))
    return tuple(sorted(found, key=lambda v: (-v.waited_s, v.name, v.where or "")))


def _pieces(episode: Starvation) -> Iterator[_Piece]:
    looks = [look for look in episode.looks if look.sockets]
    for n, look in enumerate(looks):
        start_ns = look.at_ns if n else episode.start_ns
        end_ns = looks[n + 1].at_ns if n + 1 < len(looks) else episode.end_ns
        for s in look.sockets:
            if s.kind == "listener":
                count = max(1, s.size)
                yield _Piece("connection", name_of(s), None, s.inode, start_ns, end_ns, count)
            else:
                yield _Piece("io", name_of(s), None, s.inode, start_ns, end_ns)
    guards = sum(item.guards for item in episode.items)
    for item in episode.items:
        name = item.name
        if item.guards:
            since_ns = _replied_ns(item, looks, episode.start_ns)
            name = _timeout(name, replied=since_ns is not None)
            if since_ns is not None and guards <= max(map(_replies, looks)):
                # Each has its reply, and could go on if only its loop served it.
                yield _Piece("task", item.name, item.where, None, since_ns, item.end_ns)
        yield _Piece(item.kind, name, item.where, None, item.start_ns, item.end_ns, item.count)
    if not looks and not episode.items:
        name = f"ready I/O on {episode.place}"
        yield _Piece("io", name, None, None, episode.start_ns, episode.end_ns)


def _replied_ns(item: Item, looks: Sequence[Look], start_ns: int) -> int | None:
    """Since when a reply to the loop's own requests lies unread; None when there is none."""
    for n, look in enumerate(looks):
        if look.at_ns > item.end_ns:
            break
        if _replies(look):
            return look.at_ns if n else start_ns
    return None


def _replies(look: Look) -> int:
    return sum(s.kind == "tcp" and not s.inbound for s in look.sockets)


def _timeout(name: str, *, replied: bool) -> str:
    """A timer that limits the time of something; spurious when a reply lies unread already."""
    if replied:
        return f"spurious timeout of {name} (a reply is already there)"
    return f"timeout of {name}"


def name_of(socket: UnreadSocket) -> str:
    """What waits, in words: by what the peer is, not by its passing port."""
    if socket.kind == "listener":
        return f"connections to accept on {socket.local}"
    if socket.inbound:
        what = "requests" if socket.kind == "tcp" else "closed connections"
        return f"{what} on port {socket.local.rsplit(':', 1)[-1]}"
    what = "unread data from" if socket.kind == "tcp" else "end of the connection to"
    return f"{what} {socket.peer}"


def _sum(pieces: Sequence[_Piece]) -> tuple[int, int]:
    """How many items those pieces are, and how long they waited together (nanoseconds)."""
    count = waited_ns = 0
    keyed: dict[int, list[_Piece]] = {}
    for piece in pieces:
        if piece.key is None:
            count += piece.count
            waited_ns += piece.count * (piece.end_ns - piece.start_ns)
        else:
            keyed.setdefault(piece.key, []).append(piece)
    for some in keyed.values():
        for group in _contiguous(some):
            count += max(piece.count for piece in group)
            waited_ns += _area(group)
    return count, waited_ns


def _contiguous(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    group: list[_Piece] = []
    end_ns = 0
    for piece in sorted(pieces, key=lambda p: p.start_ns):
        if group and piece.start_ns > end_ns:
            yield group
            group = []
        group.append(piece)
        end_ns = max(end_ns, piece.end_ns)
    if group:
        yield group


def _area(pieces: Sequence[_Piece]) -> int:
    """The most that any of the pieces says, over time."""
    area = at_ns = 0
    open_ones: list[tuple[int, int]] = []  # a heap of (-count, end)
    for piece in [*sorted(pieces, key=lambda p: p.start_ns), None]:
        until_ns = max(p.end_ns for p in pieces) if piece is None else piece.start_ns
        while open_ones and at_ns < until_ns:
            count, end_ns = -open_ones[0][0], open_ones[0][1]
            if end_ns <= at_ns:
                heapq.heappop(open_ones)
                continue
            area += count * (min(end_ns, until_ns) - at_ns)
            at_ns = min(end_ns, until_ns)
        at_ns = until_ns
        if piece is not None:
            heapq.heappush(open_ones, (-piece.count, piece.end_ns))
    return area
