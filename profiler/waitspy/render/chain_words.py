"""Chains of waits in words: who holds what somebody waits for, and what that one waits for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from waitspy.model.children import ChildHeld, ChildHow
from waitspy.model.judged import Link, Spot
from waitspy.model.task_waits import TaskHeld
from waitspy.model.wait_for import Held, How
from waitspy.model.waits import WaitKind
from waitspy.render import words
from waitspy.render.words import Code

_WAITS_FOR: Mapping[Held | TaskHeld | ChildHeld, str] = {
    "lock": "for a lock held by {who}",
    "abandoned-lock": "for a lock that no thread is left to give up: it was held when this process "
    "was forked",
    "orphaned-lock": "for a lock that nobody is left to give up: the process that held it has "
    "ended",
    "lost-job": "for work that no process of its pool has or will take, as one has ended",
    "lost-result": "for a result that nobody is left to hand in, as nothing else refers to it",
    "lost-signal": "for a signal that nobody is left to give, as nothing else refers to it",
    "lost-lock": "for a lock that nobody is left to give up, as nothing else refers to it",
    "lost-queue": "for a queue from which nobody is left to take, as nothing else refers to it",
    "semaphore": "for a semaphore whose places are held by {who}",
    "full-queue": "for room in a queue from which {who} {takes}",
    "joined-queue": "until all is done that was put into a queue from which {who} {takes}",
    "thread": "for the end of {who}",
    "future": "for a result that is worked on by {who}",
    "connections": "for a connection of those held by {who}",
    "task": "for the end of {who}",
    "loop": "for its turn on the loop that {who} runs",
    "file-lock": "for a lock on a file that {who} has",
    "message": "for a message from {who}",
    "reply": "for a reply of {who}",
    "exit": "for the end of {who}",
    "output": "for output of {who}",
    "input": "until {who} reads what is written to it",
    "reader": "for room in a pipe that only the server can read, and does not",
}
_RESULTS: Mapping[How | ChildHow | None, str] = {
    "task": "for the result of {who}",
    "queued": "for a call that only {who} can make, after what it does",
    "loop": "for a result that can only be made on the loop that {who} runs",
}
"""What a future is waited for, by how it is known who has to complete it."""

_SEEM: Mapping[Held | TaskHeld | ChildHeld, str] = {
    "lock": "for a lock that seems to be held by {who}",
    "semaphore": "for a semaphore whose places seem to be held by {who}",
    "connections": "for a connection of those that seem to be held by {who}",
    "file-lock": "for a lock on a file that {who} seems to have",
    "message": "for a message that {who} seems to have to send",
    "reply": "for a reply that {who} seems to have to send",
}
"""Where that is a hint."""

_ENDED = "for room in a queue from which {who} took, and nobody else was seen to"
_ANYTHING = "for what is held by {who}"


class ChainLine(NamedTuple):
    """A sentence, escaped, and the line of code that it is about, as it was read."""

    text: str
    source: str | None


def lines(chain: Sequence[Link], code: Code) -> Iterator[ChainLine]:
    """As in "thread 12 waits for a lock held by thread 14 (refresh), taken at cache.py:40" and
    "thread 14 (refresh) waits in sock.recv (recvfrom), in fetch, upstream.py:18"; the root is last.
    """
    ring = is_ring(chain)
    for n, link in enumerate(chain):
        if link.waits_for is None:
            yield _root(link, code, chain[0].pid)
            return
        following = chain[(n + 1) % len(chain)]
        who = _who(following, code, chain[0].pid)
        takes = "takes" if following.count == 1 else "take"
        if following.how == "reach":
            takes = "seems to take" if following.count == 1 else "seem to take"
        held = _held(link.waits_for, following.how).format(who=who, takes=takes)
        text = f"{_who(link, code, chain[0].pid)} {'wait' if link.count > 1 else 'waits'} {held}"
        if following.taken is not None:
            text = f"{text}, taken in {_where(following.taken, code)}"
        if ring and n == len(chain) - 1:
            text = f"{text}: so {'none of them can' if n else 'it can never'} go on"
        yield ChainLine(text, None if following.taken is None else following.taken.source)


def _held(kind: Held | TaskHeld | ChildHeld, how: How | ChildHow | None) -> str:
    if kind == "future" and how in _RESULTS:
        return _RESULTS[how]
    if kind == "full-queue" and how == "ended":
        return _ENDED
    if how == "reach" and kind in _SEEM:
        return _SEEM[kind]
    return _WAITS_FOR.get(kind, _ANYTHING)


def is_ring(chain: Sequence[Link]) -> bool:
    """Whether it has no root."""
    return bool(chain) and chain[-1].waits_for is not None


def root_words(chain: Sequence[Link], code: Code) -> str | None:
    """As in "what it waits for is held in fetch (upstream.py:18)"; None where no root is known."""
    if len(chain) < 2 or is_ring(chain) or chain[-1].at is None:
        return None
    at = chain[-1].at
    where = words.short_words(at.function, at.file, at.line, code)
    if chain[-1].how == "ended":
        return f"what took from it has ended in {where}"
    return f"what it waits for is held up in {where}"


def _root(link: Link, code: Code, home: int) -> ChainLine:
    where = "" if link.at is None else f", in {_where(link.at, code)}"
    if link.how == "ended":
        return ChainLine(
            f"{_who(link, code, home)} has ended{where}",
            None if link.at is None else link.at.source,
        )
    doing = words.wait_words(link.wait, code)
    if link.wait.kind is WaitKind.UNKNOWN and link.wait.call is None:
        doing = "does what is not known"
    each = ", each of which" if link.count > 1 else ""
    peer = "" if link.unsent is None else f": {words.unsent_words(link.unsent, code)}"
    return ChainLine(
        f"{_who(link, code, home)}{each} {doing}{where}{peer}",
        None if link.at is None else link.at.source,
    )


def _who(link: Link, code: Code, home: int) -> str:
    """Who it is; of which process, where that is another one than that of the first link."""
    if link.program is not None:
        return f"process {link.pid} ({code(link.program)})"
    of = f" of process {link.pid}" if link.pid != home else ""
    if link.task is not None:
        return f"{words.plural(link.count, 'task')} {code(link.task)}{of}"
    name = f" ({code(link.thread)})" if link.thread else ""
    if link.count > 1:
        return f"{link.count} threads, such as {link.tid}{name}{of},"
    return f"thread {link.tid}{name}{of}"


def _where(spot: Spot, code: Code) -> str:
    place = words.place(spot.file, spot.line)
    return f"{code(spot.function)}, {code(place)}" if place else code(spot.function)
