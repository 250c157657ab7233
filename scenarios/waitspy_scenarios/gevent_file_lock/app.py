"""The reports, a WSGI application without a framework: ``gunicorn -k gevent ….app:app``."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable
from typing import IO, Any

LOCK = os.environ["REPORTS_LOCK"]
_LOOK_AGAIN_S = 0.02


def lock_cache(lock: IO[str]) -> None:
    """Waits in the kernel, which knows no greenlets: nothing else of this worker runs meanwhile."""
    fcntl.flock(lock, fcntl.LOCK_EX)


def lock_cache_yielding(lock: IO[str]) -> None:
    """Waits for the same, and lets other greenlets run meanwhile: the sleep is gevent's."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOOK_AGAIN_S)
        else:
            return


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """``/report/wait`` and ``/report/yield`` need the lock; all else is answered at once."""
    waits = {"/report/wait": lock_cache, "/report/yield": lock_cache_yielding}
    wait = waits.get(environ["PATH_INFO"])
    if wait is not None:
        with open(LOCK, encoding="utf-8") as lock:
            wait(lock)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


print("reports: ready")  # gunicorn imports this in the worker, and serves right after
