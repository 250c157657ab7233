"""The application: a page with a number that another service knows. Plain WSGI."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import requests

STOCK_URL = os.environ["STOCK_URL"]


def stock_page(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
) -> list[bytes]:
    """Asks for the stock, and waits for it."""
    del environ
    stock = requests.get(STOCK_URL, timeout=10).content
    start_response("200 OK", [("Content-Length", str(len(stock)))])
    return [stock]
