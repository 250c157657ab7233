"""The application: prices that are cached, and fetched anew in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator

import requests
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

PRICES_URL = os.environ["PRICES_URL"]
ASK_FIRST = "ASK_FIRST" in os.environ
_PAUSE_S = 0.4

LOCK = threading.Lock()
prices = {"tea": "42"}


def ask_for_prices() -> str:
    """Asks the other service, and waits for it."""
    answer = requests.get(PRICES_URL, timeout=10)
    return answer.text


def refresh() -> None:
    """Puts the prices of the other service into the cache."""
    if ASK_FIRST:
        text = ask_for_prices()
        with LOCK:
            prices["coffee"] = text
    else:
        with LOCK:
            prices["coffee"] = ask_for_prices()


async def _refresh_for_ever() -> None:
    while True:
        await asyncio.sleep(_PAUSE_S)
        await asyncio.to_thread(refresh)


@contextlib.asynccontextmanager
async def _refreshing(_: FastAPI) -> AsyncIterator[None]:
    task = asyncio.create_task(_refresh_for_ever())
    yield
    task.cancel()


app = FastAPI(default_response_class=PlainTextResponse, lifespan=_refreshing)


@app.get("/price")
async def price() -> str:
    """Reads from the cache."""
    with LOCK:
        return prices["tea"]
