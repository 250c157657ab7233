"""Many workers and narrow screens: every lane of the timeline can be reached, every number seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.benchmarks import large_recording
from tests.browser.driving import Show, click, press, settle, text
from tests.examples import page_examples
from waitspy.judge import analysis
from waitspy.model.judged import Analysis
from waitspy.recording import loading

pytestmark = pytest.mark.browser
WORKERS, THREADS = 64, 4


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """64 workers with a loop and a pool of three threads each."""
    folder = tmp_path_factory.mktemp("many") / "rec"
    large_recording.write(folder, WORKERS, THREADS, 1.0, "delta")
    return analysis.analyse(loading.load(str(folder)))


@pytest.fixture
def narrow(browser: webdriver.Chrome) -> Iterator[None]:
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    yield
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def in_sight(browser: webdriver.Chrome) -> set[str]:
    """The labels that can be seen now."""
    found: list[str] = browser.execute_script("""
        const lanes = document.querySelector(".lanes").getBoundingClientRect();
        return [...document.querySelectorAll(".labels .label")].filter((label) => {
          const {top, bottom} = label.getBoundingClientRect();
          return top >= lanes.top - 1 && bottom <= lanes.bottom + 1;
        }).map((label) => label.style.top + " " + label.textContent);
    """)
    return set(found)


def labels(browser: webdriver.Chrome) -> set[str]:
    found: list[str] = browser.execute_script("""
        return [...document.querySelectorAll(".labels .label")].map(
          (label) => label.style.top + " " + label.textContent);
    """)
    return set(found)


def told(browser: webdriver.Chrome) -> str:
    return text(browser, "#timeline .lanes-in-sight")


def test_every_lane_is_reached_by_pages_of_keys(
    browser: webdriver.Chrome, show: Show, many: Analysis
) -> None:
    show(many)
    click(browser, "#timeline .tools > button:nth-of-type(2)")  # unfold
    wanted = labels(browser)
    lanes = WORKERS * THREADS
    assert sum("thread-" in label for label in wanted) == lanes
    browser.execute_script("document.querySelector('.lanes').focus()")
    seen = in_sight(browser)
    assert told(browser).endswith(f" of {lanes}")
    for _ in range(len(wanted)):
        before = len(seen)
        press(browser, Keys.PAGE_DOWN)
        settle(browser)
        seen |= in_sight(browser)
        if len(seen) == before:
            break
    assert wanted - seen == set()
    assert told(browser).endswith(f" to {lanes} of {lanes}")
    press(browser, Keys.HOME)
    settle(browser)
    assert told(browser).startswith("Lanes 1 to ")
    press(browser, Keys.END)
    settle(browser)
    assert told(browser).endswith(f" to {lanes} of {lanes}")


def test_the_mouse_reaches_the_last_lane_by_wheel_and_by_button(
    browser: webdriver.Chrome, show: Show, many: Analysis
) -> None:
    show(many)
    lanes = browser.find_element(By.CSS_SELECTOR, ".lanes")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", lanes)
    first = told(browser)
    wheel = ActionChains(browser).scroll_from_origin(ScrollOrigin.from_element(lanes), 0, 900)
    wheel.perform()
    settle(browser)
    assert told(browser) != first
    below = browser.find_element(By.CSS_SELECTOR, "#timeline [aria-label='Lanes below']")
    for _ in range(200):
        if not below.is_enabled():
            break
        below.click()
        settle(browser)
    assert told(browser).endswith(f" to {2 * WORKERS} of {2 * WORKERS}")
    # what is drawn there belongs to the last worker
    pid, thread = browser.execute_script("""
        const labels = [...document.querySelectorAll(".labels .label")];
        const last = (kind) => labels.findLast((label) => label.matches(`.${kind}`));
        return [last("worker").querySelector("bdi").textContent, last("thread")];
    """)
    side = browser.find_element(By.CSS_SELECTOR, ".lanes").size["width"] // 2
    ActionChains(browser).move_to_element(thread).move_by_offset(side, 0).perform()
    assert f" {pid} " in text(browser, ".tooltip")


def test_all_threads_unfold_and_fold_at_once(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    before = labels(browser)
    click(browser, "#timeline .tools > button:nth-of-type(2)")
    assert len(labels(browser)) == len(before) + 4  # two lanes each instead of one folded
    assert not browser.find_elements(By.CSS_SELECTOR, ".label.folded")
    click(browser, "#timeline .tools > button:nth-of-type(2)")
    assert labels(browser) == before


def test_where_all_lanes_are_in_sight_no_pages_are_offered(
    browser: webdriver.Chrome, show: Show
) -> None:
    judged = page_examples.server()
    pid = judged.threads[0].pid
    own = tuple(thread for thread in judged.threads if thread.pid == pid)
    few = replace(judged, threads=own, pending=())
    show(few)
    assert not browser.find_element(By.CSS_SELECTOR, "[aria-label=Lanes]").is_displayed()
    assert told(browser) == ""


@pytest.mark.usefixtures("narrow")
def test_waited_times_are_seen_on_a_narrow_screen(browser: webdriver.Chrome, show: Show) -> None:
    show(page_examples.server())
    cells = browser.find_elements(By.CSS_SELECTOR, ".victims .number")
    assert [cell.text for cell in cells[:4]] == ["waited together", "on average", "51.6 s", "4.3 s"]
    places: list[list[float]] = browser.execute_script("""
        return [...document.querySelectorAll(".victims .number")].map((cell) => {
          const {left, right} = cell.getBoundingClientRect();
          const frame = cell.closest(".scroll").getBoundingClientRect();
          return [left - frame.left, frame.right - right, right - left];
        });
    """)
    assert all(before >= 0 and after >= -0.5 and wide > 20 for before, after, wide in places)
    scrolled: list[int] = browser.execute_script(
        "return [...document.querySelectorAll('.finding .scroll')]"
        ".map(one => one.scrollWidth - one.clientWidth)"
    )
    assert max(scrolled) <= 0


@pytest.mark.usefixtures("narrow")
def test_lanes_are_paged_on_a_narrow_screen(
    browser: webdriver.Chrome, show: Show, many: Analysis
) -> None:
    show(many)
    first = told(browser)
    assert first.startswith("Lanes 1 to ")
    click(browser, "#timeline [aria-label='Lanes below']")
    assert told(browser) != first
