"""A lock of a cache, held while a thread asks another service, and wanted on the event loop.

Prices are cached, and a lock guards the cache: a thread fetches them anew every now and then, and
the endpoint reads them. The thread takes the lock first and asks the other service then, "so that
nobody reads half of the prices". While that service thinks, the endpoint waits for the lock, on the
event loop's own thread.

From outside: every second or so all requests hang, as long as the other service takes; the CPUs
idle, and a profile shows ``lock.acquire``, or ``with lock``, which is not where the time goes.

waitspy says ``blocked-loop`` and names the line that wants the lock; its chain names the thread
that holds it, the line at which it was taken, and the request to the other service that it waits
for.

The fix: ask first, and take the lock to put the answer in, which ``--healthy`` does.

Run it with ``python -m waitspy_scenarios.cache_lock``; it needs the extra ``scenarios``.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "8"),
        kind="blocked-loop",
        function="price",
        file="cache_lock/app.py",
        source="with LOCK:",
        wait="lock",
        victims=frozenset({"io", "timer", "callback", "task", "connection"}),
        share=(0.3, 1.3),
        root="ask_for_prices",
    ),
    "healthy": Expected(("--seconds", "6", "--healthy")),
}
