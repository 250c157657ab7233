"""What the tests ask of the browser."""

from __future__ import annotations

from collections.abc import Callable

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from waitspy.model.judged import Analysis

Show = Callable[[Analysis], None]
"""Opens an analysis's page."""


def complaints(browser: webdriver.Chrome) -> None:
    """Fails on anything that the console said since the last look."""
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def emulate(browser: webdriver.Chrome, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def press(browser: webdriver.Chrome, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def settle(browser: webdriver.Chrome) -> None:
    """Two frames later everything asked for is drawn."""
    browser.execute_async_script(
        "requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))"
    )


def text(browser: webdriver.Chrome, selector: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, selector).text


def click(browser: webdriver.Chrome, selector: str) -> None:
    element = browser.find_element(By.CSS_SELECTOR, selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()
    settle(browser)


def pixels(browser: webdriver.Chrome, selector: str) -> str:
    """The picture of a canvas."""
    url: str = browser.execute_script(
        "return document.querySelector(arguments[0]).toDataURL()", selector
    )
    return url


def status(browser: webdriver.Chrome) -> str:
    return text(browser, "#timeline .status")
