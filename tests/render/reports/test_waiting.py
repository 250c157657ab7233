"""What waits for an answer, in the words of every format, and when it is no all-clear."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.examples import report_examples
from waitspy.model.judged import Analysis, OwedRequests, Report, WhatWaits
from waitspy.render import verdicts, words
from waitspy.render.reports.markdown import MarkdownRenderer
from waitspy.render.reports.page import HtmlRenderer
from waitspy.render.reports.report_format import ReportRenderer
from waitspy.render.reports.terminal import TerminalRenderer

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
    assert words.waiting(report_examples.owed()) == LINES
    assert words.waiting(with_requests(OwedRequests(80, 1, 2.0, 1))) == [
        (
            "port 80: 1 request is owed an answer at the end, for 2 s; "
            "at one time 1 was for 100 ms or more"
        )
    ]
    assert words.waiting(with_requests(OwedRequests(80, 0, None, 0))) == []


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


@pytest.mark.parametrize(("oldest_s", "told"), [(0.99, False), (1.0, True)])
def test_what_is_answered_soon_is_usual(oldest_s: float, told: bool) -> None:
    report = with_requests(OwedRequests(80, 3, oldest_s, 3))
    assert ("what waits" in text(report)) is told
    assert ("are owed an answer" in verdicts.sentence(report, str)) is told
    assert "### What waits" in written(MarkdownRenderer(), report)


def test_it_does_not_look_like_an_all_clear() -> None:
    green, yellow = "\x1b[1;32m", "\x1b[1;33m"
    colored = TerminalRenderer(width=500, color=True)
    assert written(colored, report_examples.healthy()).startswith(green)
    assert written(colored, report_examples.owed()).startswith(yellow)
    page = written(HtmlRenderer(), report_examples.owed())
    assert '<section id="verdict" class="verdict unknown">' in page
    assert "Nothing to report" not in page
    assert all(line in page for line in LINES)


def test_a_page_without_anything_that_waits_has_no_such_part() -> None:
    page = written(HtmlRenderer(), report_examples.healthy())
    assert 'id="waiting"' not in page
    assert "Nothing to report" in page


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
