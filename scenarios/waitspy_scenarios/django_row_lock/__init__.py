"""Django under ASGI on uvicorn: one locked row of PostgreSQL holds up every customer.

All views are synchronous and use the ORM. Django gives each request a thread of its own for that,
but a piece of ASGI middleware in front of Django counts each customer's visits, with
``sync_to_async`` around an ORM call, as Channels' middleware does for sessions. Outside of
Django's request, ``sync_to_async`` runs everything in *one* thread that the whole process shares.
Somebody's transaction keeps the row of one customer locked (a forgotten ``BEGIN`` in psql, a
nightly job); that customer's UPDATE waits in the shared thread, and everybody else's queues
behind it.

From outside: all customers wait, not only the one whose row is locked; the event loop answers what
needs no database, the CPUs idle, and PostgreSQL shows a single waiting query.

waitspy says ``exhausted-pool``: the one thread of asgiref's thread-sensitive executor waits in
``count_visit`` for PostgreSQL, and the work items of the other requests wait in its queue.

The fix: count inside of Django's request (Django's own middleware), as ``--healthy`` does: then
only the requests of that customer wait; and a ``lock_timeout``.

Run it with ``python -m waitspy_scenarios.django_row_lock``; it needs the extra ``scenarios`` and
Debian's postgresql.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

ACCOUNTS = 6
LOCKED = 1
HELD_S = 0.8
FREE_S = 0.4

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "8"),
        kind="exhausted-pool",
        function="count_visit",
        file="django_row_lock/app.py",
        source='Account.objects.filter(pk=account).update(visits=models.F("visits") + 1)',
        wait="socket",
        victims=frozenset({"work-item"}),
        share=(0.35, 0.8),
        longest_s=HELD_S + 0.3,
        # The loop starts a thread for each request and waits until it runs, long if all come at
        # once to a busy machine.
        also=frozenset({"blocked-loop"}),
    ),
    "healthy": Expected(("--seconds", "6", "--healthy")),
}
