"""Makes the pictures of the README from a real recording: ``make pictures``.

A FastAPI app under gunicorn with four uvicorn workers, whose endpoint calls ``time.sleep``.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from waitspy.judge import analysis
from waitspy.model.recorded import Recording
from waitspy.recording import loading
from waitspy.render.reports.page import HtmlRenderer
from waitspy.render.reports.terminal import TerminalRenderer

DOCS = Path(__file__).parent
LOAD = DOCS.parent / "tests" / "live" / "targets" / "http_load.py"
APP = """import time

from fastapi import FastAPI

app = FastAPI()


def charge(card):
    time.sleep(0.5)  # asks the bank


@app.post("/checkout")
@app.get("/checkout")
async def checkout():
    charge("4000-0000")
    return {"ok": True}
"""
PORT = 8000


def main() -> None:
    """Records, then draws the report and the page."""
    shop = Path("/srv/shop")
    shop.mkdir(parents=True)
    try:
        (shop / "shop.py").write_text(APP)
        _record(shop)
        _draw(shop / "rec")
        _photograph(shop / "rec")
    finally:
        shutil.rmtree(shop)


def _record(shop: Path) -> None:
    gunicorn = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-w", "4", "-k", "uvicorn.workers.UvicornWorker",
         "-b", f"127.0.0.1:{PORT}", "shop:app"],
        cwd=shop, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert gunicorn.stderr is not None
    for _ in range(4):
        while "startup complete" not in gunicorn.stderr.readline():
            pass
    load = subprocess.Popen([sys.executable, str(LOAD), str(PORT), "/checkout", "12", "0.05"])
    waitspy = [sys.executable, "-m", "waitspy"]
    subprocess.run([*waitspy, "record", f":{PORT}", "-o", str(shop / "rec")], check=True)
    assert load.poll() is None, "nobody has asked for anything"
    for process in (load, gunicorn):
        process.terminate()
        process.wait()


def _photograph(recording: Path) -> None:
    """The page's timeline and flamegraph, with the machine's own name and paths left out."""
    page = recording.parent / "page.html"
    judged = analysis.analyse(_anonymous(loading.load(str(recording))))
    with page.open("w", encoding="utf-8") as stream:
        HtmlRenderer().render(judged, stream)
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     "--disable-background-networking", "--window-size=1280,900"):  # fmt: skip
        options.add_argument(argument)
    driver = shutil.which("chromedriver") or "chromedriver"
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        browser.get(page.as_uri())
        WebDriverWait(browser, 30).until(
            lambda b: b.execute_script("return document.documentElement.dataset.ready")
        )
        browser.find_element(By.CSS_SELECTOR, '#flamegraph [data-value="wall"]').click()
        browser.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))"
        )
        clip = browser.execute_script(
            "document.querySelector('.top').style.position = 'static';"
            "const box = s => document.querySelector(s).getBoundingClientRect();"
            "const top = box('#timeline').top + scrollY;"
            "return {x: 0, y: top, width: innerWidth,"
            " height: box('#flamegraph').bottom + scrollY - top, scale: 1}"
        )
        wanted = {"captureBeyondViewport": True, "clip": clip}
        picture = browser.execute_cdp_cmd("Page.captureScreenshot", wanted)
    finally:
        browser.quit()
    (DOCS / "page.png").write_bytes(base64.b64decode(picture["data"]))


def _anonymous(recording: Recording) -> Recording:
    """Whose machine made the picture is nobody's business."""
    return replace(recording, info=replace(recording.info, host="web-1"))


def _draw(recording: Path) -> None:
    judged = analysis.analyse(loading.load(str(recording)))
    text = io.StringIO()
    TerminalRenderer(width=96, color=True).render(judged, text)
    console = Console(record=True, width=96, file=io.StringIO(), force_terminal=True)
    # Whose machine made the picture is nobody's business.
    said = text.getvalue().replace(sys.prefix, "/srv/venv").replace(os.uname().nodename, "web-1")
    console.print(Text.from_ansi("$ waitspy record :8000\n" + said))
    console.save_svg(str(DOCS / "report.svg"), title="waitspy")


if __name__ == "__main__":
    main()
