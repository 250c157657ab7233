"""A pool of connections in words."""

from __future__ import annotations

from waitspy.model.judged import Lending, LentTo, Spot
from waitspy.model.waits import Wait, WaitKind
from waitspy.render import lending_words

SLEEPS = Wait(WaitKind.SLEEP, "time.sleep", None)
UNKNOWN = Wait(WaitKind.UNKNOWN)
CHAT = Spot("chat", "/app/chat.py", 88)


def lines(lending: Lending) -> list[str]:
    return list(lending_words.lines(lending, lambda text: f"<{text}>"))


def test_who_waits_and_who_has_them() -> None:
    to = (
        LentTo("thread", CHAT, 11, "with", SLEEPS),
        LentTo("thread", Spot("job", None, None), 1, "reach", UNKNOWN),
        LentTo("task", CHAT, 2, "reach", SLEEPS),
        LentTo("thread", None, 1, "frame", UNKNOWN),
    )
    assert lines(Lending("QueuePool", 15, 15, 25, to)) == [
        "25 threads wait for a connection of <QueuePool>",
        "11 of 15 held by <chat>, </app/chat.py:88>: waits in <time.sleep>",
        "1 of 15 seems to be held by <job>",
        "2 of 15 seem to be held by tasks at <chat>, </app/chat.py:88>: waits in <time.sleep>",
        "1 of 15 held by 1 thread of which no line was seen",
    ]


def test_what_is_not_known_is_said_to_be() -> None:
    assert lines(Lending("P", 2, 2, 1, ())) == [
        "1 thread waits for a connection of <P>",
        (
            "2 of 2 held by whom is not known: by nobody who was asked, so kept elsewhere, or never given "
            "back (a leak)"
        ),
    ]
    assert lines(
        Lending("P", None, None, 1, (LentTo("task", CHAT, 3, "with", UNKNOWN),), "task")
    ) == [
        "1 task waits for a connection of <P>",
        "3 held by <chat>, </app/chat.py:88>",
    ]


def test_of_many_lines_the_first_are_told() -> None:
    to = tuple(LentTo("thread", Spot(f"f{n}", None, None), 1, "with", UNKNOWN) for n in range(10))
    told = lines(Lending("P", 10, 10, 1, to))
    assert len(told) == 10
    assert told[-1] == "2 more held elsewhere"
