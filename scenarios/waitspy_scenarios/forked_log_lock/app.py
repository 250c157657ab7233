"""The application: orders, each of which is noted with an audit service."""

from __future__ import annotations

import logging
import os
import threading

import requests
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

AUDIT_URL = os.environ["AUDIT_URL"]
FORK_SAFE = "FORK_SAFE" in os.environ


class AuditHandler(logging.Handler):
    """Sends what is important to the audit service at once, and the rest with it.

    The lock keeps lines in their order. ``logging`` makes its own locks anew after a fork, and
    knows nothing of this one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []
        self.in_order = threading.Lock()
        if FORK_SAFE:
            os.register_at_fork(after_in_child=self._start_anew)

    def _start_anew(self) -> None:
        self.in_order = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the line, and sends all that was kept if it is important."""
        with self.in_order:
            self.kept.append(record.getMessage())
            if record.levelno >= logging.WARNING:
                requests.post(AUDIT_URL, data="\n".join(self.kept), timeout=10)
                self.kept.clear()


audit = logging.getLogger("audit")
audit.propagate = False
audit.setLevel(logging.INFO)
audit.addHandler(AuditHandler())
threading.Thread(target=audit.warning, args=("the shop has started",)).start()

app = FastAPI(default_response_class=PlainTextResponse)


@app.get("/order")
async def order() -> str:
    """Takes an order."""
    audit.info("an order")
    return "thank you"
