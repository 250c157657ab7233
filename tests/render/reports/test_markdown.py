from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.examples import report_examples
from tests.examples.report_examples import EXAMPLES, HOSTILE
from waitspy.model.judged import Analysis, Report
from waitspy.render import escape, verdicts
from waitspy.render.reports.markdown import MarkdownRenderer
from waitspy.render.reports.report_format import ReportRenderer

TRICKS = [
    HOSTILE,
    "| a | b |\n| --- | --- |",
    "```\n# heading\n```",
    "``` `` `",
    "</code></details><img src=x onerror=alert(1)>",
    "[x](javascript:alert(1)) <https://evil.example> https://evil.example www.evil.example",
    "@everyone fixes #1 and owner/repo#2 $x$ ~~no~~ **no** _no_",
    "1. one",
    "    - four spaces",
    "~~~",
    "\\",
    "a\\|b",
]


def written(report: Report) -> str:
    stream = io.StringIO()
    renderer: ReportRenderer = MarkdownRenderer()
    renderer.render(Analysis(report), stream)
    return stream.getvalue()


def name_of(text: str) -> str:
    return escape.code_span(verdicts.name(text))


def parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def shape(tokens: list[Token]) -> list[str]:
    return [token.type for token in tokens]


def prose(tokens: list[Token]) -> Iterator[str]:
    """The text outside code: where GitHub looks for mentions and references."""
    for token in tokens:
        inside = False
        for child in token.children or ():
            if child.type == "html_inline":
                inside = child.content == "<code>"
            elif child.type == "text" and not inside:
                yield child.content


@pytest.mark.parametrize("trick", TRICKS)
def test_hostile_text_cannot_change_the_shape(trick: str) -> None:
    tokens = parsed(written(report_examples.hostile(trick)))
    assert shape(tokens) == shape(parsed(written(report_examples.hostile("x"))))
    inline = [child for token in tokens for child in token.children or ()]
    allowed = {
        "text",
        "code_inline",
        "html_inline",
        "softbreak",
        "strong_open",
        "strong_close",
        "text_special",
    }
    assert {child.type for child in inline} <= allowed
    assert {child.content for child in inline if child.type == "html_inline"} <= {
        "<code>",
        "</code>",
    }


@pytest.mark.parametrize("trick", TRICKS)
def test_hostile_text_mentions_nobody(trick: str) -> None:
    tokens = parsed(written(report_examples.hostile(trick)))
    assert not [text for text in prose(tokens) if re.search(r"@\w|#\d", text)]


def test_hostile_text_can_be_read() -> None:
    tokens = parsed(written(report_examples.hostile("fe`tch <b>\x1b[1m")))
    codes = [c.content for t in tokens for c in t.children or () if c.type == "code_inline"]
    assert "fe`tch <b>\\x1b[1m" in codes


def test_empty_names_are_said_to_be_empty() -> None:
    text = written(report_examples.hostile(""))
    assert "waits in `(empty)` (`(empty)`)" in text
    assert "``" not in text.replace("```", "")


@pytest.mark.parametrize("name", EXAMPLES)
def test_text_is_printable_and_tables_are_even(name: str) -> None:
    text = written(EXAMPLES[name]())
    assert all(line.isprintable() for line in text.splitlines())
    tokens = shape(parsed(text))
    assert "html_block" not in tokens
    rows = "".join(
        {"tr_open": "[", "th_open": "x", "td_open": "x", "tr_close": "]"}.get(t, "") for t in tokens
    )
    assert set(re.findall(r"\[x*\]", rows)) <= {"[" + "x" * 5 + "]", "[" + "x" * 8 + "]"}
    assert rows.replace("[xxxxx]", "").replace("[xxxxxxxx]", "") == ""


def test_says_what_the_terminal_says() -> None:
    text = written(report_examples.starving())
    for part in (
        "**`QuoteClient.fetch` (`client.py:41`) blocked 2 of 4 workers, up to 40 % of the time; ",
        "recorded `:8000` on `web-1` at `2026-01-02 03:04:05 UTC` for 10 s, 100 Hz",
        "### 1. Starving, blocked loop: a blocking call holds the running event loop",
        "- **starved**: 6.15 s over 2 processes, up to 40 % of the recording, 3 times, longest 2.35 s",
        "- **wait**: waits in `time.sleep` (`clock_nanosleep`)",
        "- **blame**: `QuoteClient.fetch`, `/srv/quotes/app/client.py:41`\n  - `time.sleep(backoff)`",
        "- **remedy**: await asyncio.sleep(...) instead",
        "- **evidence**: `asyncio`, `epoll`; up to 34 items waiting, 0 served meanwhile",
        "- **where**: pids 4711, 4712, main threads",
        "| 31 timers | `Heartbeat.tick` | `/srv/quotes/app/heartbeat.py:17` | 37.7 s | 1.22 s |",
        "| 12 I/O events | `tcp 10.0.0.7:8000 from 10.0.0.9:51334` |  | 51.6 s | 4.3 s |",
        "    > QuoteClient.fetch, /srv/quotes/app/client.py:41\n```",
        "| 4711 | worker | `3.12.1` | `uvicorn` | 12 | 99.6 Hz | 996 | 4 |",
        "- 4714 ended: `killed by SIGKILL`",
        "- pid 4714, the last 2.1 s of stacks: the process was killed\n  - to do: look for",
        "waitspy used 312 ms CPU, 3.1 % of one core; 45 MB\n",
    ):
        assert part in text


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_verdict_comes_first(name: str) -> None:
    report = EXAMPLES[name]()
    first = written(report).splitlines()[0]
    assert first == f"**{verdicts.sentence(report, name_of)}**"


def test_without_findings_the_unseen_follows_the_verdict() -> None:
    text = written(report_examples.half_blind())
    assert text.index("### Not seen") < text.index("### Processes")
    assert "### Not seen" not in written(report_examples.healthy())


def test_several_blames_are_a_list() -> None:
    text = written(report_examples.several_blames())
    assert (
        "- **blame**:\n"
        "  - `QuoteClient.fetch`, `/srv/quotes/app/client.py:41` (62 % of the time)\n"
        "    - `time.sleep(backoff)`\n"
        "  - `query`, `/srv/quotes/app/db.py:12` (30 % of the time)\n"
        "    - `cursor.execute(sql, args)`\n"
        "  - `posix.fsync` (8 % of the time)\n"
    ) in text


def test_unknown_and_latent() -> None:
    assert "- **blame**: not known: no stack was seen\n" in written(report_examples.unknown_blame())
    text = written(report_examples.latent_only())
    assert (
        "### Latent: a blocking call while nothing was seen to be due\n\n- `QuoteClient.fetch`"
        in text
    )


def test_headings_start_where_asked() -> None:
    stream = io.StringIO()
    MarkdownRenderer(heading=2).render(Analysis(report_examples.healthy()), stream)
    assert "\n## Processes\n" in stream.getvalue()
    assert "none" in written(replace(report_examples.healthy(), workers=()))


# --- one finding ------------------------------------------------------------------------------------


def test_a_finding_of_its_own_says_what_was_recorded_and_all_that_the_report_says_of_it() -> None:
    report = EXAMPLES["mixed"]()
    whole = written(report)
    for index, finding in enumerate(report.findings):
        text = MarkdownRenderer().finding(report, index)
        assert text.startswith(f"### {finding.verdict.capitalize()}, ")
        assert "recorded `:8000` on `web-1`" in text
        if finding.verdict != "latent":  # the report tells these in two lines
            own = text.split("\n\n", 2)[2].strip()
            assert own in whole
    assert "- **latent**: twice, longest 310 ms" in text
    assert "- **blame**: `QuoteClient.fetch`" in text


def test_several_episodes_are_told_one_by_one() -> None:
    report = EXAMPLES["starving"]()
    text = MarkdownRenderer().finding(report, 0)
    assert (
        "- **episodes**: 1.7 s at 1.2 s, pid 4711, up to 34 waiting; "
        "2.1 s at 3 s, pid 4712, up to 12 waiting; 2.35 s at 6.05 s, pid 4711" in text
    )
    assert "episodes" not in MarkdownRenderer().finding(report, 1)
    many = replace(report.findings[0], episodes=report.findings[0].episodes * 4)
    text = MarkdownRenderer().finding(replace(report, findings=(many,)), 0)
    assert text.count(" at ") >= 10
    assert "and 2 shorter ones" in text


@pytest.mark.parametrize("trick", TRICKS)
def test_a_finding_of_its_own_is_as_safe_as_the_report(trick: str) -> None:
    report = report_examples.hostile(trick)
    plain = report_examples.hostile("harmless")
    for index in range(len(report.findings)):
        text = MarkdownRenderer().finding(report, index)
        assert shape(parsed(text)) == shape(parsed(MarkdownRenderer().finding(plain, index)))
