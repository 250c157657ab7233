"""Celery, prefork: tasks that run asyncio inside and leave background work behind.

Each worker process keeps one event loop, and each task runs it with ``run_until_complete``. A task
that places an order starts a mail that confirms it, and ends before the mail service has answered.
From then on nobody runs the loop: the process waits in Celery's pipe for its next task. The
receipt stays unread, the mail's timeout passes, and when the next task happens to run the loop,
the timeout wins over the receipt, and the mail is sent once more.

From outside: customers get their confirmation two or three times, mostly when there is little to
do. Celery reports each task as succeeded within 60 ms; its workers idle.

waitspy says ``parked-loop``: in worker processes that wait for their next task, a loop's receipts
and timers were due. Idle workers wait in the same function and are no finding.

The fix: await everything that a task starts before it returns, as ``--healthy`` does; or leave
such work to a process whose loop always runs.

Run it with ``python -m waitspy_scenarios.celery_leftovers``; it needs the extra ``scenarios`` and
Debian's redis-server.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

WORKERS = 2
ORDER_EVERY_S = 1.2
RECEIPT_AFTER_S = 0.3
PATIENCE_S = 0.6

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "9"),
        kind="parked-loop",
        # All that such a process shows is Celery's own: the pipe from which its next task comes.
        function="Connection._recv",
        file="billiard/connection.py",
        victims=frozenset({"io", "timer"}),
        victim="spurious timeout of send_mail",
        share=(0.4, 0.9),
        longest_s=ORDER_EVERY_S,
    ),
    "healthy": Expected(("--seconds", "6", "--healthy")),
    "idle": Expected(("--seconds", "5", "--idle")),
}
