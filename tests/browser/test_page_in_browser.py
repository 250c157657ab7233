"""The report page in Chromium: opens clean from disk; findings, timeline and flamegraph go together."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.browser.driving import Show, click, emulate, pixels, press, settle, status, text
from tests.examples import page_examples, report_examples
from tests.render.profiles.test_svg import SVG, boxes, parsed
from waitspy.model.judged import Analysis, Weight

pytestmark = pytest.mark.browser


def frames(browser: webdriver.Chrome) -> list[str]:
    """The names of the flamegraph's boxes, by depth and place."""
    names: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('.flame g.frame')].map(g => g.getAttribute('aria-label').split(', ')[0])"
    )
    return names


def box(browser: webdriver.Chrome, name: str) -> WebElement:
    found: WebElement | None = browser.execute_script(
        "return [...document.querySelectorAll('.flame g.frame')].find(g => g.getAttribute('aria-label').startsWith(arguments[0] + ', '))",
        name,
    )
    assert found is not None, (name, frames(browser))
    return found


def width(browser: webdriver.Chrome, name: str) -> float:
    return float(
        box(browser, name).find_element(By.TAG_NAME, "rect").get_attribute("width") or "nan"
    )


def click_box(browser: webdriver.Chrome, name: str) -> None:
    browser.execute_script(
        "arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", box(browser, name)
    )
    settle(browser)


def weighed(browser: webdriver.Chrome) -> str:
    """What the flamegraph says of its whole."""
    return text(browser, "#flamegraph > .widget > .quiet")


# --- opening ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["server", "hostile", *report_examples.EXAMPLES])
def test_opens_from_disk_without_complaint(
    browser: webdriver.Chrome, show: Show, name: str
) -> None:
    own = {"server": page_examples.server, "hostile": page_examples.hostile}
    judged = own[name]() if name in own else Analysis(report_examples.EXAMPLES[name]())
    show(judged)
    assert text(browser, "h1")
    found = browser.find_elements(By.CSS_SELECTOR, "article.finding")
    assert len(found) == len(judged.report.findings)
    assert browser.find_elements(By.CSS_SELECTOR, ".lanes canvas")
    overflow: int = browser.execute_script(
        "return document.documentElement.scrollWidth - innerWidth"
    )
    assert overflow <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("make", [page_examples.server, page_examples.hostile])
def test_a_narrow_screen_has_room_for_all(
    browser: webdriver.Chrome, show: Show, make: Callable[[], Analysis], scheme: str
) -> None:
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        emulate(browser, scheme)
        show(make())
        overflow: int = browser.execute_script("return document.documentElement.scrollWidth - 390")
        assert overflow <= 0
        lanes: float = browser.execute_script(
            "return document.querySelector('.lanes canvas').clientWidth"
        )
        assert lanes > 200
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_dark_and_light_follow_the_system(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    seen = {}
    for scheme in ("light", "dark"):
        emulate(browser, scheme)
        settle(browser)
        body = browser.find_element(By.TAG_NAME, "body")
        seen[scheme] = (
            body.value_of_css_property("background-color"),
            body.value_of_css_property("color"),
            pixels(browser, ".lanes canvas"),
        )
    for light, dark in zip(seen["light"], seen["dark"], strict=True):
        assert light != dark


# --- findings lead to their place ------------------------------------------------------------------


def test_a_finding_leads_to_its_longest_episode(browser: webdriver.Chrome, show: Show) -> None:
    judged = page_examples.server()
    show(judged)
    before = pixels(browser, ".lanes canvas")
    click(browser, "#finding-1 .button.follow")
    longest = max(e.length_s for e in judged.report.findings[0].episodes)
    assert status(browser) == f"Selected {longest * 1000:.3g} ms"
    assert pixels(browser, ".lanes canvas") != before
    assert text(browser, "#flamegraph .chips").startswith("Only ")
    pressed = browser.find_element(By.CSS_SELECTOR, '#flamegraph [data-value="starved"]')
    assert pressed.get_attribute("aria-pressed") == "true"
    assert "retry" in frames(browser)
    assert "blamed" in (box(browser, "retry").get_attribute("class") or "")
    assert "price_rows" not in frames(browser)


def test_an_episode_and_the_end_of_its_selection(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    before = frames(browser), weighed(browser)
    click(browser, "#finding-2 [data-episode]")
    assert status(browser).startswith("Selected ")
    assert weighed(browser) != before[1]
    assert "blamed" in (box(browser, "Inbox.next_message").get_attribute("class") or "")
    click(browser, "#flamegraph .chip button")
    assert (frames(browser), weighed(browser)) == before
    assert status(browser).startswith("Showing ")


def test_all_of_the_summary_leads_to_the_findings(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    click(browser, ".summary li:last-child a")
    assert browser.execute_script("return location.hash") == "#finding-2"


# --- timeline --------------------------------------------------------------------------------------


def test_dragging_selects_and_weighs_the_flamegraph_anew(
    browser: webdriver.Chrome, show: Show
) -> None:
    show(page_examples.server())
    click(browser, '#flamegraph [data-value="wall"]')
    whole = weighed(browser)
    canvas = browser.find_element(By.CSS_SELECTOR, ".lanes canvas")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    room = canvas.size["width"]
    actions = ActionChains(browser).move_to_element_with_offset(canvas, -room // 4, 0)
    actions.click_and_hold().move_by_offset(room // 2, 0).release().perform()
    settle(browser)
    assert status(browser).startswith("Selected 5 s") or status(browser).startswith("Selected 4.9")
    assert whole.startswith("200 s in all")
    half = weighed(browser)
    assert half.startswith(("100 s in all", "99"))
    press(browser, Keys.ESCAPE)


def test_the_timeline_works_by_keys(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    browser.execute_script("document.querySelector('.lanes').focus()")
    assert status(browser).startswith("Showing 10 s of 10 s")
    press(browser, "+")
    settle(browser)
    assert status(browser).startswith("Showing 7 s of 10 s")
    zoomed = pixels(browser, ".lanes canvas")
    press(browser, Keys.ARROW_RIGHT)
    settle(browser)
    assert pixels(browser, ".lanes canvas") != zoomed
    press(browser, "n")
    settle(browser)
    first = status(browser)
    assert first.startswith("Selected ")
    view = pixels(browser, ".axis")
    press(browser, "n")
    settle(browser)
    assert pixels(browser, ".axis") != view
    press(browser, "p")
    settle(browser)
    assert pixels(browser, ".axis") == view
    press(browser, Keys.ESCAPE, "0")
    settle(browser)
    assert status(browser).startswith("Showing 10 s of 10 s")


def test_pool_threads_are_folded_and_unfold(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    folded = browser.find_elements(By.CSS_SELECTOR, ".label.folded button")
    assert [one.text for one in folded] == ["2 pool threads"] * 4
    before = len(browser.find_elements(By.CSS_SELECTOR, ".label.thread"))
    folded[0].send_keys(Keys.ENTER)
    settle(browser)
    assert len(browser.find_elements(By.CSS_SELECTOR, ".label.thread")) == before + 2
    focused = browser.switch_to.active_element
    assert focused.get_attribute("aria-expanded") == "true"
    focused.send_keys(Keys.ENTER)
    assert len(browser.find_elements(By.CSS_SELECTOR, ".label.thread")) == before


def test_hovering_a_lane_says_what_the_thread_did(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    canvas = browser.find_element(By.CSS_SELECTOR, ".lanes canvas")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    seen = set()
    for x in range(-400, 400, 80):
        ActionChains(browser).move_to_element(canvas).move_by_offset(
            x, 40 - canvas.size["height"] // 2
        ).perform()
        seen.add(text(browser, ".tooltip"))
    assert any("starves 7 items of due work" in one and "time.sleep" in one for one in seen), seen
    assert any("pid 41" in one for one in seen)


# --- flamegraph ------------------------------------------------------------------------------------


def test_libraries_are_folded_and_unfold_by_a_click(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    folded = [name for name in frames(browser) if name.startswith("⋯")]
    assert folded
    assert "Router.app" not in frames(browser)
    click_box(browser, folded[0])
    assert "BaseEventLoop.run_forever" in frames(browser)
    click(browser, "#flamegraph .tools > button")
    assert "Router.app" in frames(browser)
    assert not [name for name in frames(browser) if name.startswith("⋯")]
    click(browser, "#flamegraph .tools > button")
    assert [name for name in frames(browser) if name.startswith("⋯")] == folded


def test_zoom_by_click_the_way_back_and_other_weights(
    browser: webdriver.Chrome, show: Show
) -> None:
    show(page_examples.server())
    room = width(browser, "all")
    assert width(browser, "Ledger.totals") < room
    click_box(browser, "Ledger.totals")
    assert width(browser, "Ledger.totals") == pytest.approx(room, abs=1)
    assert "Ledger.totals" in text(browser, ".trail")
    click(browser, '#flamegraph [data-value="wall"]')
    assert width(browser, "Ledger.totals") == pytest.approx(room, abs=1)
    browser.find_element(By.CSS_SELECTOR, ".trail .reset").click()
    assert width(browser, "Ledger.totals") < room
    assert "price_rows" in frames(browser)


def test_search_marks_and_counts(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    browser.find_element(By.TAG_NAME, "body").send_keys("/")
    press(browser, "ledger")
    assert text(browser, "#flamegraph .status").startswith("1 frame found: ")
    marked = browser.find_elements(By.CSS_SELECTOR, ".flame .found")
    assert len(marked) == 1
    press(browser, Keys.ENTER)
    assert "found" in (browser.switch_to.active_element.get_attribute("class") or "")
    browser.find_element(By.CSS_SELECTOR, "#flamegraph input").send_keys(Keys.ESCAPE)
    assert not browser.find_elements(By.CSS_SELECTOR, ".flame .found")


def test_frames_are_reached_by_keys(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    browser.execute_script("arguments[0].focus()", box(browser, "all"))
    levels = []
    for _ in range(3):
        press(browser, Keys.ARROW_DOWN)
        levels.append(browser.switch_to.active_element.get_attribute("aria-level"))
    assert levels == ["2", "3", "4"]
    press(browser, Keys.ARROW_UP)
    name = (browser.switch_to.active_element.get_attribute("aria-label") or "").split(", ")[0]
    assert text(browser, ".tooltip").startswith(name)
    outline = browser.switch_to.active_element.find_element(
        By.TAG_NAME, "rect"
    ).value_of_css_property("stroke-width")
    assert float(outline.removesuffix("px")) >= 2


def test_flame_and_icicle_are_each_others_mirror(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())

    def top(name: str) -> float:
        value: float = browser.execute_script(
            "return arguments[0].getBoundingClientRect().top", box(browser, name)
        )
        return value

    assert top("all") < top("retry")
    click(browser, '#flamegraph [data-value="flame"]')
    assert top("all") > top("retry")
    below: float = browser.execute_script(
        "return document.querySelector('#flamegraph .legend').getBoundingClientRect().top"
    )
    assert top("all") + 20 <= below


@pytest.mark.parametrize("weight", ["wall", "starved"])
@pytest.mark.parametrize("make", [page_examples.server, page_examples.barely_starving_polls])
def test_boxes_look_as_in_the_picture(
    browser: webdriver.Chrome, show: Show, make: Callable[[], Analysis], weight: Weight
) -> None:
    judged = make()
    assert judged.profile is not None
    pictured = {
        (box.findtext(f"{SVG}title", "").split("\n")[0], box.attrib["class"])
        for box in boxes(parsed(judged.profile, weight))
    }
    show(judged)
    click(browser, f'#flamegraph [data-value="{weight}"]')
    shown: list[list[str]] = browser.execute_script(
        "return [...document.querySelectorAll('.flame g.frame')].map("
        "g => [g.getAttribute('aria-label').split(', ')[0], g.getAttribute('class')])"
    )
    own = {"frame", "above", "found", "blamed"}
    looks = {(name, " ".join(c for c in look.split() if c not in own)) for name, look in shown}
    assert len({look for _, look in looks}) > 3
    assert unnamed_layers(looks) <= unnamed_layers(pictured)


def unnamed_layers(looks: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The same, but folded layers without their names: those of a picture name more of them."""
    return {("" if look.startswith("layers") else name, look) for name, look in looks}


def test_one_worker_and_one_role(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    click(browser, '#flamegraph [data-value="wall"]')
    browser.find_element(By.CSS_SELECTOR, "select[aria-label=Worker]").send_keys("worker 4102")
    settle(browser)
    assert weighed(browser).startswith("50 s in all")
    browser.find_element(By.CSS_SELECTOR, "select[aria-label=Threads]").send_keys("Pool")
    settle(browser)
    assert weighed(browser).startswith("20 s in all")
    assert "resize_all" in frames(browser)
    assert "price_rows" not in frames(browser)


# --- hostile ---------------------------------------------------------------------------------------


def test_hostile_names_run_nothing_and_break_nothing(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.hostile())
    click(browser, '#flamegraph [data-value="wall"]')
    seen = set()
    for group in browser.find_elements(By.CSS_SELECTOR, ".flame g.frame"):
        browser.execute_script(
            "arguments[0].dispatchEvent(new MouseEvent('mousemove', {bubbles: true}))", group
        )
        seen.add(text(browser, ".tooltip").split("\n")[0])
    for name in ("<script>document.title='owned'</script>", "\"'><img src=x onerror="):
        assert any(one.startswith(name) for one in seen), seen
    assert any(one.startswith("xxxx") for one in seen)
    click(browser, "#finding-1 .button.follow")
    browser.find_element(By.CSS_SELECTOR, "#flamegraph input").send_keys(
        "<img src=x onerror=alert(1)>"
    )
    assert text(browser, "#flamegraph .status").startswith("0 frames found")
    counts: list[Any] = browser.execute_script(
        "return [document.querySelectorAll('img').length,"
        " [...document.querySelectorAll('script')].filter(s => !s.type).length]"
    )
    assert counts == [0, 1]
    assert browser.title != "owned"


# --- without a script ------------------------------------------------------------------------------


def test_without_javascript_findings_and_a_still_picture_stay(
    browser: webdriver.Chrome, show: Show, tmp_path: Path
) -> None:
    show(page_examples.server())
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((tmp_path / "report.html").as_uri())
        picture = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        assert len(base64.b64decode(picture["data"])) > 5_000
        words = browser.find_element(By.TAG_NAME, "body").text
        assert "await asyncio.sleep(...) instead" in words
        assert "The timeline needs JavaScript." in words
        assert "Ledger.totals" in words
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
