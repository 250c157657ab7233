"""FastAPI on uvicorn: a synchronous call inside an ``async def`` endpoint.

An endpoint asks another service with ``requests``. It is an ``async def``, so the call runs on
the event loop's own thread, and while the other service thinks, that worker does nothing else.

From outside: every endpoint of the service is slow, also ``/health``, which does nothing; the
CPUs idle; more workers help a little. The other service is slow, but not that slow.

waitspy says ``blocked-loop``, names the line with ``requests.get`` and the requests that waited
unread behind it, and finds it in every worker.

The fix: an asynchronous client (``httpx.AsyncClient``), which ``--healthy`` uses; or a plain
``def`` endpoint, which FastAPI runs in a thread (see the scenario ``fastapi-full-threads`` for
where that ends).

Run it with ``python -m waitspy_scenarios.fastapi_sync_call``; it needs the extra ``scenarios``.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

WORKERS = 2

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "8"),
        kind="blocked-loop",
        function="exchange_rate",
        file="fastapi_sync_call/app.py",
        source="answer = requests.get(RATES_URL, timeout=10)",
        wait="socket",
        victims=frozenset({"io", "connection"}),
        processes=WORKERS,
        share=(0.5, 1.3),
    ),
    "healthy": Expected(("--seconds", "6", "--healthy")),
}
