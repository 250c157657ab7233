"""What waits for an answer and where, in the words of every format, and when it is no all-clear."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.examples import report_examples
from waitspy.model.judged import (
    Analysis,
    Coverage,
    OwedRequests,
    Place,
    Report,
    TasksLooked,
    Unaccepted,
    UnreadDatagrams,
    UnreadMessages,
    WhatWaits,
)
from waitspy.render import verdicts, waiting_words
from waitspy.render.reports.json_report import report_object
from waitspy.render.reports.markdown import MarkdownRenderer
from waitspy.render.reports.page import HtmlRenderer
from waitspy.render.reports.report_format import ReportRenderer
from waitspy.render.reports.terminal import TerminalRenderer

HINT = waiting_words.HINT
LINES = [
    (
        "port 8000: 12 requests are owed an answer at the end, the oldest for 4.1 s; "
        "at one time 14 were for 100 ms or more"
    ),
    "port 8001: nothing is owed at the end; at one time 3 were for 100 ms or more",
    "port 8002: what is owed at the end is not known",
]


def written(renderer: ReportRenderer, report: Report) -> str:
    stream = io.StringIO()
    renderer.render(Analysis(report), stream)
    return stream.getvalue()


def text(report: Report) -> str:
    return written(TerminalRenderer(width=500, color=False), report)


def with_requests(*owed: OwedRequests, report: Report | None = None) -> Report:
    return replace(report or report_examples.healthy(), waiting=WhatWaits(owed))


def test_each_port_on_which_something_waits_has_its_line() -> None:
    assert waiting_words.lines(report_examples.owed(), str) == LINES
    assert waiting_words.lines(with_requests(OwedRequests(80, 1, 2.0, 1)), str) == [
        (
            "port 80: 1 request is owed an answer at the end, for 2 s; "
            "at one time 1 was for 100 ms or more"
        )
    ]
    assert waiting_words.lines(with_requests(OwedRequests(80, 0, None, 0)), str) == [HINT]


def test_the_text_says_who_waits_where_nothing_starved() -> None:
    expected = "\nwhat waits\n" + "".join(f"   - {line}\n" for line in LINES)
    assert expected in text(report_examples.owed())
    latent = replace(report_examples.latent_only(), waiting=report_examples.owed().waiting)
    assert expected in text(latent)


@pytest.mark.parametrize("make", [report_examples.starving, report_examples.late])
def test_a_finding_comes_first_in_text_and_sentence(make: Callable[[], Report]) -> None:
    report = replace(make(), waiting=report_examples.owed().waiting)
    assert "what waits" not in text(report)
    assert "owed" not in verdicts.sentence(report, str)
    assert LINES[0] in written(MarkdownRenderer(), report)


@pytest.mark.parametrize(
    ("longest_s", "sentence"),
    [
        ((0.99,), None),
        ((1.0,), "a request on port 80 was owed an answer for at least 1 s"),
        ((1.0, 4.2), "a request on ports 80 and 81 was owed an answer for at least 4.2 s"),
    ],
)
def test_who_waited_long_before_the_end_is_no_all_clear_either(
    longest_s: Sequence[float], sentence: str | None
) -> None:
    ports = (OwedRequests(80 + n, 0, None, 3, waited_s) for n, waited_s in enumerate(longest_s))
    report = with_requests(*ports)
    assert ("what waits" in text(report)) is (sentence is not None)
    if sentence is not None:
        assert f"what was watched, but {sentence}: " in verdicts.sentence(report, str)
        assert waiting_words.HINT not in text(report)
        line = "port 80: nothing is owed at the end; at one time 3 were for 100 ms or more"
        assert f"{line}, one for at least 1 s" in waiting_words.lines(report, str)
    told = report_object(report)["waiting"]["requests"]
    assert [one["longest_s"] for one in told] == list(longest_s)


def test_who_waits_now_comes_before_who_did() -> None:
    report = with_requests(OwedRequests(80, 0, None, 3, 9.0), OwedRequests(81, 2, 3.0, 2, 4.0))
    sentence = verdicts.sentence(report, str)
    assert "but 2 requests on port 81 are owed an answer, the oldest for 3 s: " in sentence


@pytest.mark.parametrize(
    ("sockets", "where"),
    [
        (("/run/a.sock",), "/run/a.sock"),
        (("/a", "@b"), "/a and @b"),
        (("/a", "/b", "/c", "/d"), "4 unix sockets"),
    ],
)
def test_what_is_owed_at_unix_sockets_is_not_known(sockets: tuple[str, ...], where: str) -> None:
    report = replace(report_examples.healthy(), waiting=WhatWaits(unseen=sockets))
    clause = f"whether requests on {where} are owed an answer is not known"
    sentence = verdicts.sentence(report, str)
    assert sentence.startswith(f"no starvation seen in what was watched, but {clause}: ")
    line = f"{sockets[0]}: what is owed to clients of a unix socket is not known"
    assert waiting_words.lines(report, str)[0] == line
    assert line in text(report)
    assert waiting_words.HINT not in text(report)
    assert report_object(report)["waiting"]["unseen"] == list(sockets)
    page = written(HtmlRenderer(), report)
    assert "Whether somebody waits is not known." in page
    assert "Nothing to report" not in page
    found = replace(report_examples.starving(), waiting=report.waiting)
    assert clause not in verdicts.sentence(found, str)


@pytest.mark.parametrize(("oldest_s", "told"), [(0.99, False), (1.0, True)])
def test_what_is_answered_soon_is_usual(oldest_s: float, told: bool) -> None:
    report = with_requests(OwedRequests(80, 3, oldest_s, 3))
    assert ("what waits" in text(report)) is told
    assert ("are owed an answer" in verdicts.sentence(report, str)) is told
    assert "### What waits" in written(MarkdownRenderer(), report)


def test_who_is_not_let_in_is_no_all_clear_either() -> None:
    waiting = WhatWaits(unaccepted=(Unaccepted("127.0.0.1:80", 2, 3.1), Unaccepted("/s", 1, 1.0)))
    report = replace(report_examples.healthy(), waiting=waiting)
    two = "2 connections to 127.0.0.1:80 waited to be accepted, none was taken for 3.1 s"
    one = "1 connection to /s waited to be accepted, and was not taken for 1 s"
    assert waiting_words.lines(report, str) == [two, one]
    sentence = verdicts.sentence(report, str)
    assert sentence.startswith(f"no starvation seen in what was watched, but {two} and {one}: ")
    assert two in text(report)
    told = report_object(report)["waiting"]["unaccepted"]
    assert told[1] == {"listener": "/s", "most": 1, "longest_s": 1.0}
    longer = replace(
        waiting, unaccepted=(Unaccepted("/s", 4, 1.5, 2.5), Unaccepted("/t", 1, None, 1))
    )
    assert waiting_words.lines(replace(report, waiting=longer), str) == [
        "4 connections to /s waited to be accepted, one of them for 2.5 s, none was taken for 1.5 s",
        "1 connection to /t waited to be accepted, for 1 s",
    ]
    found = replace(report_examples.starving(), waiting=waiting)
    assert "accepted" not in verdicts.sentence(found, str)


def test_datagrams_that_nobody_reads_are_no_all_clear_either() -> None:
    dns, full = UnreadDatagrams("UDP 127.0.0.1:53", 3.1, 1200), UnreadDatagrams("/s", None, 1)
    waiting = WhatWaits(unread=(dns, full))
    report = replace(report_examples.healthy(), waiting=waiting)
    long = "datagrams on UDP 127.0.0.1:53 lay unread for 3.1 s, and 1,200 found no room"
    lost = "1 datagram on /s found no room"
    assert waiting_words.lines(report, str) == [long, lost]
    sentence = verdicts.sentence(report, str)
    assert sentence.startswith(f"no starvation seen in what was watched, but {long} and {lost}: ")
    assert long in text(report)
    assert report_object(report)["waiting"]["unread"] == [
        {"socket": "UDP 127.0.0.1:53", "longest_s": 3.1, "dropped": 1200},
        {"socket": "/s", "dropped": 1},
    ]
    assert "Nothing to report" not in written(HtmlRenderer(), report)
    found = replace(report_examples.starving(), waiting=waiting)
    assert "datagram" not in verdicts.sentence(found, str)


def reader() -> Place:
    """A thread that stands in a wait of its own."""
    return Place(
        what="thread",
        function="handle",
        file="/srv/consumer.py",
        line=4,
        awaits="time.sleep (clock_nanosleep)",
        wait="other",
        count=1,
        longest_s=3.1,
        sure=False,
        pids=(4711,),
    )


def test_messages_that_lie_unread_are_no_all_clear_either() -> None:
    waiting = WhatWaits(messages=(UnreadMessages("10.0.0.7:6379", 3.1, reader()),))
    report = replace(report_examples.healthy(), waiting=waiting)
    long = (
        "messages from 10.0.0.7:6379 lay unread for 3.1 s, as the thread that reads them waited in "
        "time.sleep (clock_nanosleep) in handle (consumer.py:4)"
    )
    assert waiting_words.lines(report, str) == [long]
    assert verdicts.sentence(report, str).startswith(
        f"no starvation seen in what was watched, but {long}: "
    )
    assert long in text(report)
    (told,) = report_object(report)["waiting"]["messages"]
    assert (told["peer"], told["longest_s"]) == ("10.0.0.7:6379", 3.1)
    assert (told["reader"]["function"], told["reader"]["line"]) == ("handle", 4)
    assert "Nothing to report" not in written(HtmlRenderer(), report)


def test_where_nothing_could_be_judged_the_text_says_where_threads_wait() -> None:
    waiting = WhatWaits(places=(reader(),))
    report = replace(report_examples.healthy(), waiting=waiting, watched=Coverage(0, 0, 0))
    assert verdicts.sentence(report, str).startswith("starvation could not be judged: ")
    assert "handle, /srv/consumer.py:4 waits in time.sleep" in text(report)
    assert "what waits" not in text(replace(report, waiting=WhatWaits(places=())))
    assert "what waits" not in text(replace(report_examples.healthy(), waiting=waiting))


def test_it_does_not_look_like_an_all_clear() -> None:
    green, yellow = "\x1b[1;32m", "\x1b[1;33m"
    colored = TerminalRenderer(width=500, color=True)
    assert written(colored, report_examples.healthy()).startswith(green)
    assert written(colored, report_examples.owed()).startswith(yellow)
    page = written(HtmlRenderer(), report_examples.owed())
    assert '<section id="verdict" class="verdict unknown">' in page
    assert "Nothing to report" not in page
    assert all(line in page for line in LINES)


def test_where_nobody_waits_every_format_says_how_to_see_more() -> None:
    page = written(HtmlRenderer(), report_examples.healthy())
    assert f'<ul class="notes"><li>{HINT}</li></ul>' in page
    assert "Nothing to report" in page
    assert f"### What waits\n\n- {HINT}\n" in written(MarkdownRenderer(), report_examples.healthy())
    assert f"\n{HINT}\n" in text(report_examples.healthy())


@pytest.mark.parametrize(
    "make",
    [
        report_examples.starving,
        report_examples.late,
        report_examples.latent_only,
        report_examples.blind,
        report_examples.waiting,
        report_examples.nothing_attached,
    ],
)
def test_else_there_is_no_such_hint(make: Callable[[], Report]) -> None:
    assert HINT not in text(make())
    assert HINT not in written(MarkdownRenderer(), make())


def test_a_page_of_which_nothing_is_known_has_no_such_part() -> None:
    assert 'id="waiting"' not in written(HtmlRenderer(), report_examples.starving())


# --- places ------------------------------------------------------------------------------------

PLACES = [
    (
        "12 tasks at quote, /srv/quotes/app/routes.py:27 await "
        "Semaphore.acquire (asyncio/locks.py:387), the oldest for at least 4.1 s"
    ),
    "1 task at post, /srv/quotes/app/routes.py:40 awaits Future, there at every look for 2 s",
    (
        "2 threads at run, /srv/quotes/app/consumer.py:88 wait in recv (recvfrom), "
        "the oldest for at least 9.8 s"
    ),
    "3 tasks at Cython await Task, for how long is not known",
    (
        "40 tasks at main, /srv/quotes/app/routes.py:3 await sleep (asyncio/tasks.py:665), "
        "the oldest for at least 9 s; idle ones do so, too"
    ),
    (
        "1 thread at main, /srv/quotes/app/consumer.py:3 waits in time.sleep, "
        "for at least 9.9 s; idle ones do so, too"
    ),
]
LOOKED = "812 of 5000 tasks were looked at"


def test_every_place_is_told_where_there_is_room() -> None:
    assert waiting_words.lines(report_examples.waiting(), str) == [
        LINES[0],
        *PLACES,
        LOOKED,
        "pid 4711: 31 % of one core; its threads waited for the GIL for 1.2 % of the time",
        "pid 4712: 2 % of one core",
    ]


def test_the_text_has_six_lines_at_most_and_only_counts_idle_ones() -> None:
    idle = "40 tasks and 1 thread where idle ones wait: for input, a queue or a timer"
    workers = (
        "pids 4711, 4712: CPU: up to 31 % of one core each; GIL: waited for up to 1.2 % of the time"
    )
    told = [LINES[0], *PLACES[:3], f"{idle}; {LOOKED}", workers]
    assert waiting_words.few_lines(report_examples.waiting(), str) == told
    expected = "\nwhat waits\n" + "".join(f"   - {line}\n" for line in told)
    assert expected in text(report_examples.waiting())
    ports = tuple(OwedRequests(80 + n, 1, 2.0, 1) for n in range(9))
    many = replace(
        report_examples.waiting(), waiting=replace(report_examples.places(), requests=ports)
    )
    few = waiting_words.few_lines(many, str)
    assert (len(few), few[2], few[3]) == (6, "and 7 ports more", PLACES[0])


def test_the_text_tells_where_tasks_of_the_program_idle_if_there_is_room() -> None:
    places = report_examples.places()
    assert places.places is not None
    idle = tuple(one for one in places.places if one.wait == "idle")
    few = waiting_words.few_lines(
        replace(report_examples.waiting(), waiting=replace(places, places=idle)), str
    )
    rest = "1 thread where idle ones wait: for input, a queue or a timer"
    assert few[1:3] == [PLACES[4], f"{rest}; {LOOKED}"]
    others = tuple(replace(one, own=False) for one in idle)
    few = waiting_words.few_lines(
        replace(report_examples.waiting(), waiting=replace(places, places=others)), str
    )
    assert few[1] == f"40 tasks and {rest}; {LOOKED}"


def test_what_is_not_known_of_tasks_is_said() -> None:
    known = replace(report_examples.places(), tasks=None)
    report = replace(report_examples.healthy(), waiting=known)
    assert "where tasks wait is not known" in waiting_words.lines(report, str)
    assert any(
        "where tasks wait is not known" in one for one in waiting_words.few_lines(report, str)
    )
    every = replace(report_examples.places(), tasks=TasksLooked(7, 7))
    told = waiting_words.lines(replace(report, waiting=every), str)
    assert not any("looked at" in one for one in told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, True),
        ({"count": 9}, False),
        ({"longest_s": 0.99}, False),
        ({"longest_s": None}, False),
        ({"wait": "idle"}, False),
        ({"wait": "other"}, False),
    ],
)
def test_many_tasks_that_wait_for_a_lock_are_told_though_nobody_is_owed_an_answer(
    change: dict[str, Any], told: bool
) -> None:
    lock = replace(report_examples.places().places[0], count=10, longest_s=1.0)  # type: ignore[index]
    waiting = WhatWaits(places=(replace(lock, **change),))
    report = replace(report_examples.healthy(), waiting=waiting)
    assert ("\nwhat waits\n" in text(report)) is told
    assert (HINT in text(report)) is not told
    assert verdicts.sentence(report, str).startswith("no starvation seen: ")
    starving = replace(report_examples.starving(), waiting=waiting)
    assert "what waits" not in text(starving)


# --- the first line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owed", "said"),
    [
        ([(80, 1, 2.0)], "1 request on port 80 is owed an answer, for 2 s"),
        ([(80, 2, 2.0), (81, 3, 9.0)], ("5 requests on ports 80 and 81 are owed an answer, "
         "the oldest for 9 s")),
        ([(80, 2, 2.0), (81, 3, 0.5)], ("2 requests on port 80 are owed an answer, "
         "the oldest for 2 s")),
        ([(port, 1, 2.0) for port in range(4)], ("4 requests on 4 ports are owed an answer, "
         "the oldest for 2 s")),
    ],
)  # fmt: skip
def test_the_sentence_counts_the_ports_on_which_somebody_waits_long(
    owed: list[tuple[int, int, float]], said: str
) -> None:
    report = with_requests(*(OwedRequests(*one) for one in owed))
    assert f", but {said}: 4 workers" in verdicts.sentence(report, str)
    blind = replace(report, workers=report_examples.blind().workers)
    assert verdicts.sentence(blind, str).endswith(f", and {said}")
