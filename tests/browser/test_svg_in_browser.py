"""The SVG in Chromium: it opens clean, zooms, searches, follows window and theme, runs nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.browser.driving import complaints, emulate, press
from tests.examples import profile_examples as examples
from waitspy.model.judged import Profile, Weight
from waitspy.render.profiles.flame import placed, tree
from waitspy.render.profiles.svg import SvgRenderer

pytestmark = pytest.mark.browser

MARGIN = 10

Open = Callable[..., None]


@pytest.fixture
def show(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Open]:
    """Opens a profile's SVG from disk, alone or inside a page; fails if the console complains.

    It has all frames, unless libraries are to be folded.
    """

    def opened(
        profile: Profile, weight: Weight = "wall", page: str = "{}", *, fold: bool = False
    ) -> None:
        file = tmp_path / f"flame.{'svg' if page == '{}' else 'html'}"
        with (tmp_path / "flame.svg").open("w", encoding="utf-8") as stream:
            SvgRenderer(weight, all_frames=not fold).render(profile, stream)
        if page != "{}":
            picture = (tmp_path / "flame.svg").read_text("utf-8")
            file.write_text(page.replace("{}", picture), "utf-8")
        complaints(browser)
        browser.get(file.as_uri())

    browser.set_window_size(1200, 800)
    emulate(browser, "light")
    yield opened
    complaints(browser)


def frame(browser: webdriver.Chrome, name: str) -> WebElement:
    """The first frame of that function that can be seen."""
    found: WebElement | None = browser.execute_script(
        "return Array.from(document.querySelectorAll('.graph > g')).find(g => "
        "g.style.display !== 'none' && g.getAttribute('aria-label').startsWith(arguments[0]))",
        f"{name}, ",
    )
    assert found is not None, name
    return found


def click(group: WebElement) -> None:
    group.find_element(By.TAG_NAME, "rect").click()


def focused(browser: webdriver.Chrome) -> str:
    """Function of the focused frame, or the kind of another focused element."""
    element = browser.switch_to.active_element
    label = element.get_attribute("aria-label") or element.tag_name
    return label.split(", ")[0]


def extent(group: WebElement) -> tuple[float, float]:
    rect = group.find_element(By.TAG_NAME, "rect")
    return float(rect.get_attribute("x") or "nan"), float(rect.get_attribute("width") or "nan")


def room(browser: webdriver.Chrome) -> float:
    width: float = browser.execute_script(
        "return document.querySelector('svg').getBoundingClientRect().width"
    )
    return width - 2 * MARGIN


def text(browser: webdriver.Chrome, selector: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, selector).text


def button(browser: webdriver.Chrome, label: str) -> WebElement:
    found = [one for one in browser.find_elements(By.CSS_SELECTOR, "button") if one.text == label]
    assert len(found) == 1, label
    return found[0]


def shown(browser: webdriver.Chrome, selector: str = ".graph > g") -> list[str]:
    """The functions of the frames that can be seen."""
    names: list[str] = browser.execute_script(
        "return Array.from(document.querySelectorAll(arguments[0]))"
        ".filter(g => g.style.display !== 'none').map(g => g.getAttribute('aria-label').split(', ')[0])",
        selector,
    )
    return names


@pytest.mark.parametrize("make", [examples.server, examples.idle, examples.empty, examples.hostile])
@pytest.mark.parametrize("weight", ["wall", "starved"])
def test_opens_from_disk_without_complaint(
    browser: webdriver.Chrome, show: Open, make: Callable[[], Profile], weight: Weight
) -> None:
    show(make(), weight)
    expected = [one.node.frame.function for one in placed(tree(make().merged), weight)]
    assert len(shown(browser)) == len(expected)
    assert text(browser, ".panel .heading")
    assert bool(browser.find_elements(By.CSS_SELECTOR, ".panel .empty")) == (not expected)


def test_click_zooms_and_the_way_back_is_offered(browser: webdriver.Chrome, show: Open) -> None:
    show(examples.server())
    before = shown(browser)
    assert extent(frame(browser, "Ledger.totals"))[1] < room(browser) / 4
    assert not button_is_shown(browser, "Reset zoom")
    click(frame(browser, "Ledger.totals"))
    for name in ("all", "Handle._run", "Ledger.totals", "retry", "[sleep] time.sleep"):
        assert extent(frame(browser, name)) == pytest.approx((0, room(browser) - 1), abs=0.5)
    assert "thumbnail" not in shown(browser)
    assert shown(browser, ".above")[0] == "all"
    trail = text(browser, ".trail").split("\n")
    assert trail[::2] == ["all", "…", "Router.app", "monthly_report", "Ledger.totals"]
    button(browser, "Router.app").click()
    assert "thumbnail" in shown(browser)
    assert extent(frame(browser, "Router.app"))[1] == pytest.approx(room(browser) - 1, abs=0.5)
    button(browser, "Reset zoom").click()
    assert shown(browser) == before
    click(frame(browser, "retry"))
    press(browser, Keys.ESCAPE)
    assert shown(browser) == before


def button_is_shown(browser: webdriver.Chrome, label: str) -> bool:
    return any(one.text == label for one in browser.find_elements(By.CSS_SELECTOR, "button"))


def test_zoomed_frames_keep_their_proportions(browser: webdriver.Chrome, show: Open) -> None:
    show(examples.server())
    click(frame(browser, "orders"))
    boxes = {one.node.frame.function: one for one in placed(tree(examples.server().merged), "wall")}
    scale = room(browser) / boxes["orders"].width
    for name in ("Database.fetch", "Template.render", "[socket] psycopg2"):
        left, width = extent(frame(browser, name))
        assert left == pytest.approx((boxes[name].left - boxes["orders"].left) * scale, abs=0.1)
        assert width == pytest.approx(boxes[name].width * scale - 1, abs=0.1)


def found_share(weight: Weight, pattern: str) -> float:
    """The percentage that the outermost matching frames of the server have of the weight."""
    share, until = 0.0, 0.0
    every = list(placed(tree(examples.server().merged), weight))
    for one in every:
        node = one.node.frame
        matches = re.search(pattern, node.function, re.IGNORECASE) or re.search(
            pattern, node.file, re.IGNORECASE
        )
        if matches and one.left >= until - 1e-9:
            share, until = share + one.width, one.left + one.width
    return 100 * share / every[0].width


@pytest.mark.parametrize("weight", ["wall", "victims"])
def test_search_highlights_and_says_how_much(
    browser: webdriver.Chrome, show: Open, weight: Weight
) -> None:
    show(examples.server(), weight)
    press(browser, "/")
    press(browser, "TIME.sleep")
    matched = shown(browser, ".graph.searching > .found")
    assert set(matched) == {"[sleep] time.sleep"}
    status = text(browser, ".status")
    count = "1 frame matches" if len(matched) == 1 else f"{len(matched)} frames match"
    name = {"wall": "wall time", "victims": "victim time"}[weight]
    assert status == f"{count}: {found_share(weight, 'time.sleep'):.1f} % of {name}"
    faint = frame(browser, "all").value_of_css_property("opacity")
    bright = frame(browser, "[sleep] time.sleep").value_of_css_property("opacity")
    assert float(faint) < 0.5 < float(bright) == 1
    press(browser, Keys.ENTER)
    assert focused(browser) == "[sleep] time.sleep"
    button(browser, "Clear").click()
    assert shown(browser, ".found") == []
    assert text(browser, ".status") == ""


def test_nested_matches_are_counted_once_and_files_are_searched(
    browser: webdriver.Chrome, show: Open
) -> None:
    show(examples.server())
    button(browser, "Search").click()
    press(browser, "uvicorn")
    assert {"main", "Server.run", "RequestResponseCycle.run_asgi"} <= set(shown(browser, ".found"))
    assert text(browser, ".status").endswith(
        f" {found_share('wall', 'uvicorn'):.1f} % of wall time"
    )


def test_folded_layers_are_found_by_every_name_and_zoom(
    browser: webdriver.Chrome, show: Open
) -> None:
    show(examples.server(), fold=True)
    assert "--all-frames" in text(browser, ".panel")
    layers = "⋯ threading · bin · uvicorn …"
    group = frame(browser, layers)
    assert group.find_element(By.TAG_NAME, "text").text == layers
    press(browser, "/")
    press(browser, "starlette")
    assert shown(browser, ".found") == [layers]
    button(browser, "Clear").click()
    click(frame(browser, "⋯ queue · threading"))
    assert text(browser, ".trail").split("\n")[-1] == "⋯ queue · threading"


def test_a_search_is_a_regular_expression_only_when_asked(
    browser: webdriver.Chrome, show: Open
) -> None:
    show(examples.server())
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("f").key_up(Keys.CONTROL).perform()
    press(browser, "^(orders|retry)$")
    assert text(browser, ".status") == "0 frames match: 0.0 % of wall time"
    button(browser, ".*").click()
    assert set(shown(browser, ".found")) == {"orders", "retry"}
    field = browser.find_element(By.CSS_SELECTOR, "input")
    field.send_keys("(")
    assert text(browser, ".status") == "not a regular expression"
    assert shown(browser, ".found") == []
    button(browser, ".*").click()
    field.send_keys(Keys.CONTROL + "a")
    field.send_keys("[sleep]")
    assert set(shown(browser, ".found")) == {"[sleep] time.sleep"}


def test_the_keyboard_reaches_everything(browser: webdriver.Chrome, show: Open) -> None:
    show(examples.server())
    for _ in range(6):
        press(browser, Keys.TAB)
        if focused(browser) == "all":
            break
    assert focused(browser) == "all"
    press(browser, Keys.ARROW_DOWN)
    assert focused(browser) == "Thread._bootstrap"  # the widest
    press(browser, Keys.ARROW_LEFT)
    assert focused(browser) == "<module>"
    assert text(browser, ".tip").split("\n")[0] == "<module>"
    press(browser, Keys.ARROW_LEFT)
    assert focused(browser) == "<module>"
    press(browser, Keys.ARROW_DOWN, Keys.ENTER)
    assert focused(browser) == "main"
    assert "Thread._bootstrap" not in shown(browser)
    press(browser, Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_UP)
    assert focused(browser) == "all"
    press(browser, Keys.HOME)
    assert focused(browser) == "main"
    press(browser, Keys.ESCAPE)
    assert "Thread._bootstrap" in shown(browser)


def test_hovering_tells_all_three_weights(browser: webdriver.Chrome, show: Open) -> None:
    show(examples.server())
    assert browser.find_elements(By.CSS_SELECTOR, ".tip") == []
    rect = frame(browser, "retry").find_element(By.TAG_NAME, "rect")
    ActionChains(browser).move_to_element(rect).perform()
    lines = text(browser, ".tip").split("\n")
    assert lines[:2] == ["retry", "/srv/app/http/retry.py"]
    assert [re.sub(r"[\d.]+", "N", line) for line in lines[2:]] == [
        "wall time N s (N %)",
        "starved time N s (N %)",
        "victim time N victim-s (N %)",
    ]
    box: dict[str, float] = browser.execute_script(
        "return document.querySelector('.tip div').getBoundingClientRect().toJSON()"
    )
    inner: list[float] = browser.execute_script("return [innerWidth, innerHeight]")
    assert box["left"] >= 0 <= box["top"]
    assert box["right"] <= inner[0]
    assert box["bottom"] <= inner[1]


@pytest.mark.parametrize("make", [examples.server, examples.hostile])
def test_the_picture_follows_the_window_and_labels_stay_in_their_boxes(
    browser: webdriver.Chrome, show: Open, make: Callable[[], Profile]
) -> None:
    show(make())
    for width in (1500, 520):
        browser.set_window_size(width, 800)
        browser.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )
        assert room(browser) == pytest.approx(width - 2 * MARGIN, abs=30)
        assert extent(frame(browser, "all"))[1] == pytest.approx(room(browser) - 1, abs=0.5)
        sizes: list[list[float]] = browser.execute_script(
            "return Array.from(document.querySelectorAll('.graph text')).filter(t => t.textContent)"
            ".map(t => [t.getComputedTextLength(), t.parentNode.querySelector('rect').width.baseVal.value])"
        )
        assert sizes
        assert [pair for pair in sizes if pair[0] > pair[1] - 2] == []
        panel: list[float] = browser.execute_script(
            "const box = s => document.querySelector(s).getBoundingClientRect();"
            "return [box('.panel').bottom, box('.graph').top, box('.panel').right]"
        )
        assert panel[0] <= panel[1] + 1
        assert panel[2] <= width


def test_light_and_dark_follow_the_viewers_choice(browser: webdriver.Chrome, show: Open) -> None:
    show(examples.server())
    seen: dict[str, tuple[float, float]] = {}
    for scheme in ("light", "dark"):
        emulate(browser, scheme)
        paper = browser.find_element(By.CSS_SELECTOR, ".paper").value_of_css_property("fill")
        label = frame(browser, "all").find_element(By.TAG_NAME, "text")
        seen[scheme] = (brightness(paper), brightness(label.value_of_css_property("fill")))
    assert seen["light"][0] > seen["light"][1] + 150
    assert seen["dark"][1] > seen["dark"][0] + 150


def brightness(colour: str) -> float:
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3


def test_hostile_names_are_shown_and_run_nothing(browser: webdriver.Chrome, show: Open) -> None:
    for page in ("{}", "<!doctype html><meta charset=utf-8><title>page</title><main>{}</main>"):
        show(examples.hostile(), page=page)
        for name in ("<script>document.title='owned'</script>", "\"'><img src=x onerror="):
            group = next(
                one
                for one in browser.find_elements(By.CSS_SELECTOR, ".graph > g")
                if (one.get_attribute("aria-label") or "").startswith(name)
            )
            ActionChains(browser).move_to_element(group.find_element(By.TAG_NAME, "rect")).perform()
            assert text(browser, ".tip").startswith(name)
            click(group)
            assert name in text(browser, ".trail")
            press(browser, Keys.ESCAPE)
        browser.find_element(By.CSS_SELECTOR, "input").send_keys("<img src=x onerror=alert(1)>")
        assert text(browser, ".status").startswith("0 frames match")
        counts: list[Any] = browser.execute_script(
            "return [document.querySelectorAll('script').length, document.querySelectorAll('img').length,"
            " document.title]"
        )
        assert counts[:2] == [1, 0]
        assert counts[2] != "owned"


def test_two_pictures_in_a_page_leave_each_other_and_the_page_alone(
    browser: webdriver.Chrome, show: Open
) -> None:
    page = (
        "<!doctype html><meta charset=utf-8><title>page</title><body style='margin:0'>"
        "<input id=own><div id=first style='width:700px'>{}</div><div id=second>{}</div>"
    )
    show(examples.server(), page=page)
    widths: list[float] = browser.execute_script(
        "return Array.from(document.querySelectorAll('.graph > g:first-child > rect'))"
        ".map(r => r.width.baseVal.value)"
    )
    assert widths[0] == pytest.approx(700 - 2 * MARGIN - 1, abs=1)
    assert widths[1] > 1000
    own = browser.find_element(By.ID, "own")
    own.send_keys("a/b")
    assert own.get_attribute("value") == "a/b"
    before = shown(browser, "#second .graph > g")
    click(frame(browser, "Handle._run"))
    assert len(shown(browser, "#first .graph > g")) < len(before)
    assert shown(browser, "#second .graph > g") == before
    browser.execute_async_script(
        "document.getElementById('first').style.width = '500px';"
        "setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(arguments[0])))"
    )
    assert extent(frame(browser, "all"))[1] == pytest.approx(500 - 2 * MARGIN - 1, abs=1)


def test_twenty_thousand_stacks_stay_usable(browser: webdriver.Chrome, show: Open) -> None:
    show(examples.wide())
    narrow = "function_6_700"
    group = frame(browser, narrow)
    assert extent(group)[1] < 2
    browser.execute_script(
        "arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", group
    )
    assert extent(group) == pytest.approx((0, room(browser) - 1), abs=0.5)
    children = [name for name in shown(browser) if name.startswith("function_7_")]
    assert children == [f"function_7_{number}" for number in range(2800, 2804)]
    assert [extent(frame(browser, name))[0] for name in children] == pytest.approx(
        [room(browser) * number / 4 for number in range(4)], abs=0.5
    )
