"""Tornado: a handler asks another service with ``urllib.request``.

The handler is an ``async def``, and Tornado's loop is asyncio's: while ``urlopen`` waits for the
price service, this process answers nobody.

From outside: every page takes as long as the price service, also the home page, which needs no
price. The process uses no CPU; Tornado logs a slow request now and then, never the culprit.

waitspy says ``blocked-loop``, names ``Price.get`` with its line, and the requests that waited
behind it. As Tornado runs on asyncio, it also names the callbacks and timers that were due.

The fix: ``AsyncHTTPClient``, which ``--healthy`` uses; or ``run_in_executor`` around the call.

Run it with ``python -m waitspy_scenarios.tornado_upstream``; it needs the extra ``scenarios``.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

DELAY_S = 0.4

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "6"),
        kind="blocked-loop",
        function="Price.get",
        file="tornado_upstream/server.py",
        source="with urllib.request.urlopen(self.settings[UPSTREAM]) as answer:"
        "  # noqa: ASYNC210, S310",
        wait="socket",
        victims=frozenset({"io", "callback", "connection"}),
        share=(0.3, 0.7),
        longest_s=DELAY_S + 0.2,
    ),
    "healthy": Expected(("--seconds", "5", "--healthy")),
}
