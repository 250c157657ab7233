"""The pages as files: whole, loading nothing, with every text of the target escaped."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest

from tests.examples import page_examples, report_examples
from waitspy.errors import AssetsMissing
from waitspy.judge import analysis
from waitspy.model.judged import Analysis, Blame
from waitspy.render.profiles import speedscope_page
from waitspy.render.reports import page_data
from waitspy.render.reports.page import HtmlRenderer

EXAMPLES: dict[str, Analysis] = {
    "server": page_examples.server(),
    "attacked": page_examples.hostile(),
    **{name: Analysis(make()) for name, make in report_examples.EXAMPLES.items()},
}


def page(judged: Analysis) -> str:
    stream = io.StringIO()
    HtmlRenderer().render(judged, stream)
    return stream.getvalue()


def speedscope(judged: Analysis) -> str:
    stream = io.StringIO()
    speedscope_page.render(analysis.profile(judged), "wall", stream)
    return stream.getvalue()


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts.append((self.tags[-1][0], data))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_page_loads_nothing_and_runs_only_its_own_script(name: str) -> None:
    text = page(EXAMPLES[name])
    elements = Elements(text)
    assert not {tag for tag, _ in elements.tags} & {
        "img",
        "iframe",
        "link",
        "object",
        "embed",
        "base",
    }
    for _, attributes in elements.tags:
        assert not {a for a in attributes if a.startswith("on") or a in {"src", "style", "srcset"}}
        assert (attributes.get("href") or "#").startswith("#")
    scripts = elements.named("script")
    assert [one.get("type") for one in scripts] == ["application/gzip", None]


@pytest.mark.parametrize("make", [page, speedscope])
@pytest.mark.parametrize("name", ["server", "attacked"])
def test_the_policy_allows_what_is_there_by_its_hash(
    make: Callable[[Analysis], str], name: str
) -> None:
    text = make(EXAMPLES[name])
    policies = [m["content"] or "" for m in Elements(text).named("meta") if "http-equiv" in m]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; ")
    assert "'unsafe-inline'" not in policies[0].partition("style-src")[0]
    for script in re.findall(r"<script>(.*?)</script>", text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policies[0]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_words_are_there_without_a_script(name: str) -> None:
    judged = EXAMPLES[name]
    text = page(judged)
    assert text.count('<article class="finding') == len(judged.report.findings)
    assert text.count("<noscript>") == 2
    for record in judged.report.workers:
        assert str(record.worker.pid) in text


def test_a_finding_says_all_of_it() -> None:
    text = re.sub(r"<[^>]+>", " ", page(page_examples.server()))
    words = " ".join(text.split())
    for wanted in (
        "a blocking call holds the running event loop", "/srv/app/http/retry.py:31",
        "time.sleep(backoff)", "clock_nanosleep", "12 I/O events", "Heartbeat.tick",
        "await asyncio.sleep(...) instead", "up to 7 waiting", "The stack, 17 frames, root first",
    ):  # fmt: skip
        assert wanted in words, wanted


def overview(judged: Analysis) -> list[str]:
    """The entries of the overview, as words."""
    part = page(judged).partition('<ol class="summary">')[2].partition("</ol>")[0]
    return [" ".join(re.sub(r"<[^>]+>", " ", entry).split()) for entry in part.split("</li>")[:-1]]


def test_the_overview_has_each_blamed_line_once_with_all_that_it_comes_to() -> None:
    assert overview(EXAMPLES["mixed"]) == [
        (
            "starving latent blocked loop QuoteClient.fetch client.py:41 starved 6.15 s "
            "latent: twice, longest 310 ms"
        ),
        "starving parked loop Consumer.run_forever consumer.py:63 starved 7.6 s",
        "late overloaded pool resize images.py:14 served late for 1.1 s",
    ]


def test_kinds_that_share_a_line_are_told_apart_in_the_overview() -> None:
    report = report_examples.starving()
    first, second = report.findings
    both = replace(report, findings=(first, replace(second, blames=first.blames)))
    assert overview(Analysis(both)) == [
        (
            "starving blocked loop, parked loop QuoteClient.fetch client.py:41 "
            "blocked loop, starved 6.15 s parked loop, starved 7.6 s"
        )
    ]


def test_findings_without_a_line_stay_apart_in_the_overview() -> None:
    finding = report_examples.unknown_blame().findings[0]
    native = replace(finding, blames=(Blame("posix.fsync", None, None, 1.0),))
    report = replace(report_examples.starving(), findings=(finding, finding, native, native))
    assert overview(Analysis(report)) == [
        "starving blocked loop not known starved 1.7 s",
        "starving blocked loop not known starved 1.7 s",
        "starving blocked loop posix.fsync starved 1.7 s",
        "starving blocked loop posix.fsync starved 1.7 s",
    ]


def test_a_finding_says_what_it_was_that_starved() -> None:
    assert "thread pool thumbnails: all 4 threads" in page(EXAMPLES["mixed"])


def test_the_still_picture_is_the_flamegraph_without_its_script() -> None:
    text = page(page_examples.server())
    still = re.search(r'<div class="still">(.*?)</div></noscript>', text, re.DOTALL)
    assert still is not None
    assert "<script" not in still[1]
    assert "Ledger.totals" in still[1]


def test_a_page_carries_its_data_and_licences() -> None:
    judged = page_examples.server()
    text = page(judged)
    data = re.search(r'<script type="application/gzip" id="data">([A-Za-z0-9+/=]+)</script>', text)
    assert data is not None
    assert base64.b64decode(data[1]) == page_data.pack(judged)
    assert "d3-flame-graph" in text
    assert "Apache License" in text


def test_equal_analyses_give_equal_pages() -> None:
    assert page(page_examples.server()) == page(page_examples.server())


def test_the_speedscope_page_holds_viewer_profile_and_licences() -> None:
    text = speedscope(page_examples.server())
    found = re.search(r'id="profile" data-name="[^"]*">([A-Za-z0-9+/=]+)</script>', text)
    assert found is not None
    document = json.loads(gzip.decompress(base64.b64decode(found[1])))
    assert document["profiles"][0]["name"] == "all workers merged (wall)"
    assert "SIL OPEN FONT LICENSE" in text.upper()
    assert "Jamie Wong" in text
    assert not re.search(r"<(link|img|iframe)\b", text.partition("<script>")[0])


def test_without_built_assets_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    with pytest.raises(AssetsMissing) as caught:
        page(page_examples.server())
    assert "make assets" in caught.value.hint
    assert "\n" not in str(caught.value)
