"""gunicorn's own workers, all of them waiting for a slow service.

A WSGI application asks another service, which has become slow. A ``sync`` worker handles one
request at a time, so two workers wait for two answers, and everybody else waits in the kernel's
queue of the listening socket. A ``gthread`` worker accepts at once, but has only its few threads:
there the requests wait in the queue of its thread pool.

From outside: connections are accepted late or answered late, the load balancer sees timeouts of a
server whose CPUs idle. Nothing in Python knows of a connection that nobody has accepted yet.

waitspy says ``accept-backlog`` for ``sync``: so many connections wait while every worker that
could accept them sits in ``requests.get``. For ``--worker-class gthread`` it says
``exhausted-pool``: every thread blocked, so many work items queued. With ``--healthy`` the service
is quick.

The fix: a timeout for the call that fits; more threads (``gthread``) or an asynchronous server
for what mostly waits.

Run it with ``python -m waitspy_scenarios.gunicorn_slow_upstream``; it needs the extra
``scenarios``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from waitspy_scenarios import Expected

WORKERS = 2

_SYNC = Expected(
    ("--seconds", "8"),
    kind="accept-backlog",
    function="stock_page",
    file="gunicorn_slow_upstream/app.py",
    source="stock = requests.get(STOCK_URL, timeout=10).content",
    wait="socket",
    victims=frozenset({"connection"}),
    processes=WORKERS,
    share=(0.5, 1.3),
)

TRUTH: Mapping[str, Expected] = {
    "sync": _SYNC,
    "sync-healthy": Expected(("--seconds", "6", "--healthy")),
    "gthread": replace(
        _SYNC,
        options=("--seconds", "8", "--worker-class", "gthread"),
        kind="exhausted-pool",
        victims=frozenset({"work-item"}),
    ),
    "gthread-healthy": Expected(("--seconds", "6", "--worker-class", "gthread", "--healthy")),
}
