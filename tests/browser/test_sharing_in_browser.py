"""What leaves the report page: links to what is seen, Markdown, and the clipboard that may refuse."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.driving import Show, click, press, settle, status, text
from tests.examples import page_examples, private_examples, report_examples
from waitspy.judge.redaction import redacted
from waitspy.model.judged import Analysis
from waitspy.render.reports.markdown import MarkdownRenderer

pytestmark = pytest.mark.browser

_TAKE = """
window.taken = [];
Object.defineProperty(navigator, "clipboard", {value: {writeText: async (text) => {
  if (arguments[0]) throw new DOMException("refused");
  window.taken.push(text);
}}, configurable: true});
document.execCommand = (name) => {
  if (arguments[1]) return false;
  window.taken.push(document.activeElement.value);
  return true;
};
"""


def taking(browser: webdriver.Chrome, *, api: bool = True, old: bool = True) -> None:
    """From now on the page's clipboard is ours, or refuses."""
    browser.execute_script(_TAKE, not api, not old)


def taken(browser: webdriver.Chrome) -> list[str]:
    WebDriverWait(browser, 5).until(lambda b: b.execute_script("return taken.length"))
    texts: list[str] = browser.execute_script("return taken")
    return texts


def fragment(browser: webdriver.Chrome, wanted: str) -> str:
    """The fragment, once it begins as wanted: it follows what is chosen after a short while."""
    WebDriverWait(browser, 5).until(
        lambda b: b.execute_script("return location.hash").startswith(wanted)
    )
    found: str = browser.execute_script("return location.hash")
    return found


def reopen(browser: webdriver.Chrome, address: str) -> None:
    """As somebody else does who was given the file and the link."""
    browser.get("about:blank")
    browser.get(address)
    WebDriverWait(browser, 30).until(
        lambda b: b.execute_script("return document.documentElement.dataset.ready")
    )
    settle(browser)


def open_finding(browser: webdriver.Chrome) -> str | None:
    found: str | None = browser.execute_script(
        "return document.querySelector('article[aria-current]')?.id ?? null"
    )
    return found


def chips(browser: webdriver.Chrome) -> str:
    return text(browser, "#flamegraph .chips")


def top(browser: webdriver.Chrome, selector: str) -> float:
    """How far below the upper edge of the window it begins."""
    found: float = browser.execute_script(
        "return document.querySelector(arguments[0]).getBoundingClientRect().top", selector
    )
    return found


# --- links ------------------------------------------------------------------------------------------


def test_the_address_names_finding_and_span_and_brings_both_back(
    browser: webdriver.Chrome, show: Show
) -> None:
    show(page_examples.server())
    click(browser, "#finding-2 [data-episode]")
    named = fragment(browser, "#finding-2&span=")
    before = status(browser), chips(browser), open_finding(browser)
    assert before[2] == "finding-2"
    reopen(browser, browser.current_url)
    assert (status(browser), chips(browser), open_finding(browser)) == before
    assert fragment(browser, "#finding-2") == named
    assert abs(top(browser, "#timeline")) < 120
    blamed = browser.find_elements(By.CSS_SELECTOR, ".flame .blamed")
    assert [one.get_attribute("aria-label") for one in blamed]


def test_a_worker_and_a_span_of_ones_own_come_back(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    here = browser.current_url
    reopen(browser, f"{here}#span=1.5-4.25&pid=4102")
    assert status(browser) == "Selected 2.75 s"
    assert "Only 1.50 s to 4.25 s (2.75 s)" in chips(browser)
    assert "Only pid 4102" in chips(browser)
    assert open_finding(browser) is None
    while found := browser.find_elements(By.CSS_SELECTOR, "#flamegraph .chip button"):
        found[0].click()
        settle(browser)
    WebDriverWait(browser, 5).until(lambda b: b.current_url == here)


def test_a_link_to_a_finding_opens_it_there(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    reopen(browser, f"{browser.current_url}#finding-2")
    assert open_finding(browser) == "finding-2"
    assert 0 <= top(browser, "#finding-2") < 120
    click(browser, "#finding-1 .anchor")
    WebDriverWait(browser, 5).until(lambda b: open_finding(b) == "finding-1")
    assert fragment(browser, "#finding-1") == "#finding-1"


@pytest.mark.parametrize(
    "wrong",
    ["finding-99", "finding-0", "finding-1x", "span=3-2", "span=1-900", "span=-1-2", "span=NaN-2",
     "pid=1", "pid=4102&nonsense", "finding-1&span=2", "%E0%A4%A", "<img src=x onerror=alert(1)>",
     "__proto__", "&&", "workers"],
)  # fmt: skip
def test_a_wrong_fragment_changes_nothing_and_nobody_complains(
    browser: webdriver.Chrome, show: Show, wrong: str
) -> None:
    show(page_examples.server())
    before = status(browser), chips(browser)
    reopen(browser, f"{browser.current_url}#{wrong}")
    assert (status(browser), chips(browser)) == before
    assert open_finding(browser) is None


def test_the_link_is_copied_as_it_is_at_that_moment(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    taking(browser)
    click(browser, "#finding-1 [data-episode]")
    click(browser, "#timeline .tools > .button:last-of-type")
    (link,) = taken(browser)
    assert "#finding-1&span=" in link
    before = status(browser)
    reopen(browser, link)
    assert status(browser) == before


# --- Markdown ---------------------------------------------------------------------------------------


def whole(judged: Analysis) -> str:
    stream = io.StringIO()
    MarkdownRenderer().render(judged, stream)
    return stream.getvalue()


def test_a_finding_is_copied_with_what_the_page_says_of_it(
    browser: webdriver.Chrome, show: Show
) -> None:
    judged = page_examples.server()
    show(judged)
    taking(browser)
    click(browser, "#finding-2 .actions button")
    (copied,) = taken(browser)
    assert copied == MarkdownRenderer().finding(judged.report, 1)
    seen = text(browser, "#finding-2")
    for told in ("Inbox.next_message", "/srv/app/inbox.py:71", "time.sleep(backoff)", "37.7 s",
                 "12 I/O events", "await asyncio.sleep", "at 3 s, pid 4104, up to 7 waiting"):  # fmt: skip
        assert told in seen.replace("\n", " "), told
        assert told in copied.replace("\\", ""), told
    assert text(browser, "#finding-2 .actions .status") == "Copied"


def test_the_whole_report_is_copied(browser: webdriver.Chrome, show: Show) -> None:
    judged = page_examples.server()
    show(judged)
    taking(browser)
    click(browser, ".share button")
    assert taken(browser) == [whole(judged)]


def test_where_the_clipboard_refuses_the_selection_is_copied(
    browser: webdriver.Chrome, show: Show
) -> None:
    judged = page_examples.server()
    show(judged)
    taking(browser, api=False)
    click(browser, ".share button")
    assert taken(browser) == [whole(judged)]
    assert text(browser, ".share .status") == "Copied"
    assert not browser.find_elements(By.CSS_SELECTOR, "dialog, .away")


def test_where_nothing_is_allowed_the_text_is_shown_selected(
    browser: webdriver.Chrome, show: Show
) -> None:
    judged = page_examples.hostile()
    show(judged)
    taking(browser, api=False, old=False)
    click(browser, "#finding-1 .actions button")
    WebDriverWait(browser, 5).until(lambda b: b.find_elements(By.CSS_SELECTOR, "dialog[open]"))
    selected: str = browser.execute_script(
        "const t = document.activeElement; return t.value.slice(t.selectionStart, t.selectionEnd)"
    )
    assert selected == MarkdownRenderer().finding(judged.report, 0).replace("\r", "")
    assert not browser.execute_script("return document.querySelectorAll('img').length")
    press(browser, Keys.ESCAPE)
    WebDriverWait(browser, 5).until(lambda b: not b.find_elements(By.CSS_SELECTOR, "dialog"))
    assert text(browser, "#finding-1 .actions .status") == ""


# --- who may read it --------------------------------------------------------------------------------


def test_who_shares_is_told_what_is_in_it(browser: webdriver.Chrome, show: Show) -> None:
    judged = private_examples.private()
    show(judged)
    assert "Before you share this" in text(browser, ".share")
    assert "--redact" in text(browser, ".share")
    show(redacted(judged))
    assert "Before you share this" not in text(browser, "body")
    assert "redacted: command lines" in text(browser, "#verdict > p")


def test_a_redacted_page_copies_no_secret(browser: webdriver.Chrome, show: Show) -> None:
    show(redacted(private_examples.private()))
    taking(browser)
    click(browser, ".share button")
    click(browser, "#finding-1 .actions button")
    WebDriverWait(browser, 5).until(lambda b: b.execute_script("return taken.length") == 2)
    texts = "\n".join(taken(browser))
    assert "retry" in texts
    assert [secret for secret in private_examples.SECRETS if secret in texts] == []


# --- the overview -----------------------------------------------------------------------------------


def with_latent() -> Analysis:
    """The first finding's line blocks at other times without harm."""
    judged = page_examples.server()
    first = judged.report.findings[0]
    latent = replace(report_examples.latent_block(), blames=first.blames)
    return replace(
        judged, report=replace(judged.report, findings=(*judged.report.findings, latent))
    )


def test_a_line_stands_once_in_the_overview_with_both_numbers(
    browser: webdriver.Chrome, show: Show
) -> None:
    judged = with_latent()
    show(judged)
    rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, ".summary li")]
    assert len(rows) == 2
    assert sum("retry.py:31" in row for row in rows) == 1
    seconds = judged.report.findings[0].starved_s
    assert f"starved {seconds:.3g} s" in rows[0]
    assert "latent: twice, longest 310 ms" in rows[0]
    assert "Starving" in rows[0]
    assert "Latent" in rows[0]
    click(browser, ".summary li:first-child .amounts a:last-child")
    assert open_finding(browser) == "finding-3"
