"""The application: prices in another currency, whose rate another service knows."""

from __future__ import annotations

import os

import httpx
import requests
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

RATES_URL = os.environ["RATES_URL"]

CLIENT = httpx.AsyncClient()

app = FastAPI(default_response_class=PlainTextResponse)


@app.get("/health")
async def health() -> str:
    """What a load balancer asks."""
    return "ok"


@app.get("/rate/sync")
async def exchange_rate() -> str:
    """Asks on the loop's thread: nothing else of this worker runs meanwhile."""
    answer = requests.get(RATES_URL, timeout=10)
    return answer.text


@app.get("/rate/async")
async def exchange_rate_awaited() -> str:
    """Asks the same, and lets others run meanwhile."""
    answer = await CLIENT.get(RATES_URL, timeout=10)
    return answer.text
