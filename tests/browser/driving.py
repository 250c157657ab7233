"""What the tests ask of the browser."""

from __future__ import annotations

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains


def complaints(browser: webdriver.Chrome) -> None:
    """Fails on anything that the console said since the last look."""
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def emulate(browser: webdriver.Chrome, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def press(browser: webdriver.Chrome, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()
