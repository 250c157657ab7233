"""FastAPI under gunicorn with uvicorn workers that are replaced while one looks.

The application of ``fastapi-sync-call`` with its synchronous call in an ``async def`` endpoint,
as it often runs in production: gunicorn, uvicorn workers on uvloop and httptools, and
``--max-requests``, which replaces each worker after some requests.

From outside: as there, every request is slow. And who attaches to one worker soon looks at a
process that has ended: with this load a worker lives for a few seconds.

waitspy attaches to each new worker as it appears, and says ``blocked-loop`` once, with the line
and with the pids of all workers that there were, more than gunicorn has at any one time.

The fix is that of ``fastapi-sync-call``: an asynchronous client, which ``--healthy`` uses.

Run it with ``python -m waitspy_scenarios.gunicorn_recycled_workers``; it needs the extra
``scenarios``.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

WORKERS = 3

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "10"),
        kind="blocked-loop",
        function="exchange_rate",
        file="fastapi_sync_call/app.py",
        source="answer = requests.get(RATES_URL, timeout=10)",
        wait="socket",
        victims=frozenset({"io", "connection"}),
        processes=WORKERS + 1,
        share=(0.1, 1.3),  # no worker is there all the time
    ),
    "healthy": Expected(("--seconds", "8", "--healthy")),
}
