"""Makes the pictures of the README from a real recording: ``make pictures``.

A FastAPI app under gunicorn with four uvicorn workers, whose endpoint calls ``time.sleep``.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from profiler import analysis, loading
from profiler.render.terminal import TerminalRenderer

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
    """Records, then draws the report and the flamegraph."""
    shop = Path("/srv/shop")
    shop.mkdir(parents=True)
    try:
        (shop / "shop.py").write_text(APP)
        _record(shop)
        _draw(shop / "rec")
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
    load = subprocess.Popen([sys.executable, str(LOAD), str(PORT), "/checkout", "12"])
    waitspy = [sys.executable, "-m", "profiler"]
    subprocess.run([*waitspy, "record", f":{PORT}", "-o", str(shop / "rec")], check=True)
    for process in (load, gunicorn):
        process.terminate()
        process.wait()
    flame = ["flamegraph", str(shop / "rec"), "-o", str(shop / "flame.svg")]
    subprocess.run([*waitspy, *flame], check=True)
    chromium = shutil.which("chromium") or "chromium"
    subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--hide-scrollbars", "--window-size=1200,860", f"--user-data-dir={shop}/profile",
         f"--screenshot={DOCS / 'flamegraph.png'}", f"file://{shop}/flame.svg"],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip


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
