"""Database sessions held over a slow call, until the connections of the pool are used up.

A FastAPI application has SQLAlchemy sessions as a dependency. One endpoint looks up a customer and
then asks a language model, with its session open until the answer is sent; so it has a connection
of the pool all that time. A few such requests have them all, and every other endpoint that asks the
database waits for one.

From outside: pages that need a millisecond of the database hang for seconds, then fail with a
pool's timeout; event loop, CPUs and database are idle.

waitspy says ``exhausted-connections``: how many requests wait for a connection, which tasks have
them all, where they took them, and the line at which those wait meanwhile.

The fix: give the connection back before what is slow (a session for the query only), which
``--healthy`` does. A larger pool only moves the limit.

Run it with ``python -m waitspy_scenarios.held_sessions``; it needs the extra ``scenarios`` and
Debian's package postgresql.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

POOL_SIZE = 4

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "10"),
        kind="exhausted-connections",
        function="ask_model",
        file="held_sessions/app.py",
        source="await asyncio.sleep(THINKS_S)  # the model's answer comes late",
        wait="sleep",
        victims=frozenset({"task"}),
        victim="customer_name",
        share=(0.3, 1.3),
        root="ask_model",
    ),
    "healthy": Expected(("--seconds", "6", "--healthy")),
}
