"""A pool of connections in words: how many are lent, to whom, and how many wait for one."""

from __future__ import annotations

from collections.abc import Iterator

from waitspy.model.judged import Lending, LentTo
from waitspy.model.waits import WaitKind
from waitspy.render import words
from waitspy.render.words import Code

_LISTED = 8
_LEAK = ": by nobody who was asked, so kept elsewhere, or never given back (a leak)"


def lines(lending: Lending, code: Code) -> Iterator[str]:
    """As in "25 threads wait for a connection of QueuePool" and "11 of 15 held by stream_chat,
    chat.py:88, in time.sleep"; escaped. What only seems to be so is said to.
    """
    what = lending.who
    verb = "waits" if lending.waiting == 1 else "wait"
    pool = code(lending.pool)
    yield f"{words.plural(lending.waiting, what)} {verb} for a connection of {pool}"
    for one in lending.to[:_LISTED]:
        yield _holder(one, lending, code)
    rest = sum(one.count for one in lending.to[_LISTED:])
    if rest:
        yield f"{rest} more held elsewhere"
    if lending.unknown:
        yield f"{_share(lending.unknown, lending)} held by whom is not known{_LEAK}"


def _holder(one: LentTo, lending: Lending, code: Code) -> str:
    hint = one.how == "reach"
    held = ("seems" if one.count == 1 else "seem") + " to be held" if hint else "held"
    many = _share(one.count, lending)
    if one.at is None:
        return f"{many} {held} by {words.plural(one.count, one.what)} of which no line was seen"
    where = words.place(one.at.file, one.at.line)
    at = f"{code(one.at.function)}, {code(where)}" if where else code(one.at.function)
    who = "" if one.what == lending.who else f"{one.what}s at "
    if one.wait.kind is WaitKind.UNKNOWN and one.wait.call is None:
        return f"{many} {held} by {who}{at}"
    return f"{many} {held} by {who}{at}: {words.wait_words(one.wait, code)}"


def _share(count: int, lending: Lending) -> str:
    return f"{count}" if lending.lent is None else f"{count} of {lending.lent}"
