"""The application: a fast endpoint, and statistics that are made beside it again and again."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import random
import threading
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

_SIZE = 2_500_000  # sorting takes half a second


def make_statistics(ended: Any) -> None:
    """Sorts what was measured, over and over, until told to end."""
    latencies = [random.random() for _ in range(_SIZE)]
    while not ended.wait(0.2):
        ordered = sorted(latencies)
        del ordered


def _make_statistics_elsewhere(ended: Any) -> None:
    os.nice(19)
    make_statistics(ended)


@contextlib.asynccontextmanager
async def _statistics(_: FastAPI) -> AsyncIterator[None]:
    if os.environ.get("STATISTICS") == "process":
        context = multiprocessing.get_context("spawn")
        ended: Any = context.Event()
        worker: Any = context.Process(target=_make_statistics_elsewhere, args=(ended,))
    else:
        ended = threading.Event()
        worker = threading.Thread(target=make_statistics, args=(ended,), name="statistics")
    worker.start()
    yield
    ended.set()
    await asyncio.to_thread(worker.join)


app = FastAPI(default_response_class=PlainTextResponse, lifespan=_statistics)


@app.get("/price")
async def price() -> str:
    """Answers at once."""
    return "42"
