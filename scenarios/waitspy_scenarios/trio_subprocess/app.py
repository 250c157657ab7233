"""The thumbnailer, an ASGI application without a framework: ``hypercorn -k trio ….app:app``."""

from __future__ import annotations

import subprocess
from collections.abc import MutableMapping
from typing import Any

import trio

from waitspy_scenarios.trio_subprocess import CONVERSION_S

CONVERTER = ("sleep", str(CONVERSION_S))  # what it does is nothing to the server


def make_thumbnail() -> None:
    """Waits for the converter on the loop's thread: nothing else of this process runs meanwhile."""
    subprocess.run(CONVERTER, check=True)


async def make_thumbnail_awaited() -> None:
    """Waits for the same, and lets others run meanwhile."""
    await trio.run_process(CONVERTER)


async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """``/thumbnail/sync`` and ``/thumbnail/async`` convert; all else is answered at once."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    if scope["path"] == "/thumbnail/sync":
        make_thumbnail()
    elif scope["path"] == "/thumbnail/async":
        await make_thumbnail_awaited()
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def _live(receive: Any, send: Any) -> None:
    """ASGI's startup and shutdown, of which this application needs nothing."""
    kind = ""
    while kind != "lifespan.shutdown":
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
