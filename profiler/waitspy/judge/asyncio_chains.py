"""Chains among tasks: from those that wait for a lock, by its holder, to the one that ends it.

A lock whose holder waits for a lock is held by whoever holds that one. A chain that comes back to
one of them is a ring; what nobody else can reach is never given. Of a semaphore others may have
places who are not known, others may take from a queue, and who seems to hold something may not:
chains go on through them, but they are in no ring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from waitspy.judge import blame
from waitspy.judge.spots import spot_of
from waitspy.judge.task_stacks import is_slow, name_of, wait_of
from waitspy.judge.wait_for import LOST
from waitspy.model.clock import NS
from waitspy.model.judged import Link
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import SourceLines
from waitspy.model.stacks import Stack
from waitspy.model.task_waits import TaskHolder, TaskWait

Waits = Mapping[int, TaskWait]
"""What tasks wait for at one look, by its address."""


@dataclass(frozen=True, slots=True)
class TaskChain:
    """The links from those that wait to the root; of a ring, each of its tasks once.

    ``stuck`` says that it is a ring, or ends at what nobody can give; ``end`` is what that is: the
    things of a ring. ``guilty`` are the awaits of who is in a ring, or waits for what is lost.
    ``last`` is who is at the root of one that is not stuck.
    """

    links: tuple[Link, ...]
    stuck: bool
    end: frozenset[int] = frozenset()
    guilty: tuple[Stack, ...] = ()
    last: TaskHolder | None = None


def holders_of(wait: TaskWait) -> Sequence[TaskHolder]:
    """Those who hold it; who has ended does not."""
    return [holder for holder in wait.holders if holder.how != "ended"]


def all_slow(wait: TaskWait, waits: Waits) -> bool:
    """Whether all at the end of its chains are in the middle of something, rather than waiting for
    something to do.
    """
    left, seen = [wait], set[int]()
    while left:
        one = left.pop()
        if one.subject in seen:
            continue
        seen.add(one.subject)
        for holder in holders_of(one):
            following = _following(holder, waits)
            if following is not None and holders_of(following):
                left.append(following)
            elif following is None and not is_slow(holder.stack):
                return False
    return True


def follow(key: ThreadKey, wait: TaskWait, waits: Waits, sources: SourceLines) -> TaskChain:
    """The chain from those who wait for something on; ``key`` is the thread of their loop."""
    way, has = [wait], list[TaskHolder]()
    stuck = stuck_in(waits)
    is_stuck = wait.subject in stuck
    while (holder := next(iter(holders_of(way[-1])), None)) is not None:
        has.append(holder)
        following = _following(holder, waits)
        known = following is not None and any(following.subject == one.subject for one in way)
        if following is None or (not is_stuck and (known or following.subject in stuck)):
            break
        way.append(following)
        if known:
            return _ring(key, way, has, sources)
    links = [_first(key, wait, sources)]
    if wait.kind == "full-queue" and not has:
        has = list(wait.holders[:1])  # it has ended
    links += [
        _link(key, holder, sources, taken=one.kind != "full-queue")
        for one, holder in zip(way, has, strict=False)
    ]
    for n, one in enumerate(way[1:], 1):
        links[n] = _waiting(links[n], one)
    if not is_stuck:
        return TaskChain(tuple(links) if has else (), stuck=False, last=has[-1] if has else None)
    last = has[-1].stack if has else wait.stack
    return TaskChain(tuple(links), stuck=True, end=frozenset({way[-1].subject}), guilty=(last,))


def stuck_in(waits: Waits) -> set[int]:
    """What nobody will ever give, as things are: what is lost, and what only such tasks hold as
    wait for it.
    """
    lost = {subject for subject, one in waits.items() if one.kind in LOST}
    found = {subject: one for subject, one in waits.items() if one.kind == "lock"}
    while True:
        free = [
            subject
            for subject, one in found.items()
            if (holder := _only(one)) is None
            or (holder.waits not in found and holder.waits not in lost)
        ]
        if not free:
            return lost | found.keys()
        for subject in free:
            del found[subject]


def _only(wait: TaskWait) -> TaskHolder | None:
    holders = holders_of(wait)
    sure = len(holders) == 1 and holders[0].count == 1 and holders[0].how != "reach"
    return holders[0] if sure else None


def _following(holder: TaskHolder, waits: Waits) -> TaskWait | None:
    return None if holder.waits is None else waits.get(holder.waits)


def _ring(
    key: ThreadKey, way: Sequence[TaskWait], has: Sequence[TaskHolder], sources: SourceLines
) -> TaskChain:
    """Of a way whose last thing is in it before: each holder in between waits for the next one."""
    first = next(n for n, one in enumerate(way) if one.subject == way[-1].subject)
    parts = list(zip(way[first + 1 :], has[first:], strict=True))
    parts = [parts[-1], *parts[:-1]]
    return TaskChain(
        tuple(_waiting(_link(key, holder, sources), one) for one, holder in parts),
        stuck=True,
        end=frozenset(one.subject for one, _ in parts),
        guilty=tuple(holder.stack for _, holder in parts),
    )


def _first(key: ThreadKey, wait: TaskWait, sources: SourceLines) -> Link:
    return Link(
        key.pid, key.tid, "", spot_of(blame.blamed(wait.stack), sources), wait_of(wait.stack),
        wait.since_ns / NS, waits_for=wait.kind, task=name_of(wait.stack), count=wait.count,
    )  # fmt: skip


def _link(key: ThreadKey, holder: TaskHolder, sources: SourceLines, *, taken: bool = True) -> Link:
    """Who holds something; ``taken`` says that it has taken it where the holder says."""
    return Link(
        key.pid, key.tid, "", spot_of(blame.blamed(holder.stack), sources), wait_of(holder.stack),
        None if holder.since_ns is None else holder.since_ns / NS, holder.how,
        spot_of(holder.at, sources) if taken else None, task=name_of(holder.stack),
        count=holder.count, unsent=holder.unsent,
    )  # fmt: skip


def _waiting(link: Link, wait: TaskWait) -> Link:
    """The same, which is not the root: it waits itself."""
    return replace(link, waits_for=wait.kind, unsent=None)
