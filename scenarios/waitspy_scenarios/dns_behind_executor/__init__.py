"""Name lookups that time out, because the default executor is full of something else.

``loop.getaddrinfo`` has no asynchronous way to ask: asyncio runs it in the loop's default
executor, which has few threads (``min(32, CPUs + 4)``). This service gives the same executor work
that blocks, compressing archives on a slow disk, so lookups queue behind it. The well-known bug
report is https://github.com/python/cpython/issues/112169.

From outside: connections to other services take seconds or time out "in DNS", every name server
is healthy, ``dig`` answers at once, and the event loop is never blocked.

waitspy says ``exhausted-pool``: all threads of the default executor sit in ``store_archive``, and
among the work items that wait is ``getaddrinfo``.

The fix: an executor of its own for what blocks, which ``--healthy`` uses.

Run it with ``python -m waitspy_scenarios.dns_behind_executor``; it needs the extra ``scenarios``.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "8"),
        kind="exhausted-pool",
        function="store_archive",
        file="dns_behind_executor/app.py",
        source="time.sleep(SLOW_DISK_S)",
        wait="sleep",
        victims=frozenset({"work-item"}),
        victim="getaddrinfo",
        share=(0.5, 1.3),
    ),
    "healthy": Expected(("--seconds", "6", "--healthy")),
}
