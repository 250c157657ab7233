"""aiohttp on gunicorn: carts are read from Redis with the synchronous client.

A handler calls ``redis.Redis().hgetall(…)``. That takes a fraction of a millisecond, and nobody
notices that it happens on the event loop's own thread. Then Redis pauses for half a second, as it
does for a failover, a big ``KEYS *`` or a fork (here: ``CLIENT PAUSE``).

From outside: every second, all requests of all workers take up to half a second, also
``/healthz``, which asks nobody; the load balancer takes workers out. Redis's own slow log is
empty, and the CPUs idle.

waitspy says ``blocked-loop``, names ``show_cart`` with the line that calls Redis, the ``recv`` that
it waits in, and the connections and requests that waited behind it; in both workers.

The fix: the client that belongs to asyncio, ``redis.asyncio``, which ``--healthy`` uses. Carts are
as late as before, and nothing else is.

Run it with ``python -m waitspy_scenarios.aiohttp_redis``; it needs the extra ``scenarios`` and
Debian's redis-server.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

WORKERS = 2
PAUSE_S = 0.5
PAUSE_EVERY_S = 1.0

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "7"),
        kind="blocked-loop",
        function="show_cart",
        file="aiohttp_redis/app.py",
        source="items = request.app[CARTS].hgetall(f\"cart:{request.match_info['customer']}\")",
        wait="socket",
        victims=frozenset({"io", "connection", "callback", "task"}),
        processes=WORKERS,
        share=(0.15, 0.7),  # a blocked worker starves nobody while the other one accepts
        longest_s=0.75,  # Redis answers no later than this; a second cart may wait right behind
    ),
    "healthy": Expected(("--seconds", "6", "--healthy")),
}
