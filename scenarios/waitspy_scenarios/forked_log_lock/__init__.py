"""A lock of a log handler that a thread held while gunicorn forked its workers.

The shop notes its orders with an audit service: a log handler sends them there, under a lock, so
that they stay in order. That it has started is noted, too, in a thread, so that nobody waits for
it. gunicorn imports the application first (``--preload``) and forks its workers then, while that
thread sends. In each worker the lock is taken, by a thread that is not there: forks have only the
thread that called fork. The first order that a worker wants to note stops it for good.

From outside: after each deployment all requests hang, the CPUs idle, and half a minute later all is
well, as gunicorn has killed workers that gave no sign of life, and forked others.

waitspy says ``deadlock``, with the line that wants the lock, and that whoever had it is not there
any more.

The fix: make the lock anew in each worker (``os.register_at_fork``), which ``--healthy`` does, or
start threads in the workers only. ``logging`` does so with the locks of its own.

Run it with ``python -m waitspy_scenarios.forked_log_lock``; it needs the extra ``scenarios``.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

WORKERS = 2

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "6"),
        kind="deadlock",
        function="AuditHandler.emit",
        file="forked_log_lock/app.py",
        source="with self.in_order:",
        wait="lock",
        victims=frozenset({"io", "timer", "callback", "task", "connection"}),
        processes=WORKERS,
        share=(0.3, 1.3),
    ),
    "healthy": Expected(("--seconds", "6", "--healthy")),
}
