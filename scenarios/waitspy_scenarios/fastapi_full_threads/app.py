"""The application: reports that come from a slow store."""

from __future__ import annotations

import os

import requests
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

STORE_URL = os.environ["STORE_URL"]

app = FastAPI(default_response_class=PlainTextResponse)


@app.get("/health")
def health() -> str:
    """What a load balancer asks; a ``def`` as well, so it needs a thread."""
    return "ok"


@app.get("/report")
def monthly_report() -> str:
    """Waits for the store in one of the 40 threads."""
    return requests.get(STORE_URL, timeout=10).text
