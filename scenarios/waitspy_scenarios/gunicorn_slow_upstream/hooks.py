"""gunicorn's configuration: each worker says when it serves."""

from __future__ import annotations

from typing import Any


def post_worker_init(worker: Any) -> None:
    """Called in a worker once it has loaded the application."""
    worker.log.info("worker serves")
