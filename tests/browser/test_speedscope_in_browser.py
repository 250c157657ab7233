"""speedscope's page in Chromium: the viewer is ours to ship, the profile inside, the merged one first."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.examples import page_examples
from waitspy.judge import analysis
from waitspy.model.judged import Analysis
from waitspy.render.profiles import speedscope_page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("make", [page_examples.server, page_examples.hostile])
def test_it_shows_the_merged_profile_and_asks_for_nothing(
    browser: webdriver.Chrome, tmp_path: Path, make: object
) -> None:
    judged = make()  # type: ignore[operator]
    assert isinstance(judged, Analysis)
    file = tmp_path / "speedscope.html"
    with file.open("w", encoding="utf-8") as stream:
        speedscope_page.render(analysis.profile(judged), "wall", stream)
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    browser.get(file.as_uri())
    WebDriverWait(browser, 30).until(
        lambda b: "merged (wall)" in b.find_element(By.TAG_NAME, "body").text
    )
    threads = len(judged.threads)
    shown = browser.find_element(By.TAG_NAME, "body").text
    assert f"(1/{threads + 1})" in shown
    loaded: list[str] = browser.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))"
    )
    assert loaded == []
    severe = [
        entry
        for entry in browser.get_log("browser")  # type: ignore[no-untyped-call]
        if entry["level"] == "SEVERE"
    ]
    assert severe == []
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
