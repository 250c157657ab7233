"""FastAPI on uvicorn: ``def`` endpoints that occupy all of AnyIO's 40 threads.

FastAPI runs a plain ``def`` endpoint in a thread, so that a blocking call does not stop the event
loop. Each worker has 40 of these threads. Here every one of them waits for a slow service, and
the 41st request waits for a thread.

From outside: all at once every ``def`` endpoint is slow, also ``/health``, which does nothing;
``async def`` endpoints and the event loop are fine, and the CPUs idle. Stacks show forty threads
in ``requests.get``, which looks the same a second before, when all was well.

waitspy says ``exhausted-pool``: all threads blocked, so many tasks waiting for one, and the line
that the threads wait in. With ``--healthy`` there are fewer clients than threads: the same stacks,
but nobody waits, and waitspy stays silent.

The fix: call slow services from ``async def`` endpoints with an asynchronous client, and with a
timeout that fits; or raise the limit (``anyio.to_thread.current_default_thread_limiter()``).

Run it with ``python -m waitspy_scenarios.fastapi_full_threads``; it needs the extra ``scenarios``.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

WORKERS = 2

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "8"),
        kind="exhausted-pool",
        function="monthly_report",
        file="fastapi_full_threads/app.py",
        source="return requests.get(STORE_URL, timeout=10).text",
        wait="socket",
        victims=frozenset({"task"}),
        processes=WORKERS,
        share=(0.4, 1.3),
        also=frozenset({"overloaded-loop"}),  # forty answers at once
    ),
    "healthy": Expected(("--seconds", "6", "--healthy")),
}
