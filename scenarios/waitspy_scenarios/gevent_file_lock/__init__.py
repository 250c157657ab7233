"""gevent on gunicorn: reports wait for a file lock that a cron job holds.

gunicorn's gevent worker patches sockets, sleeps and locks of the standard library, so that they
switch to another greenlet instead of blocking. ``fcntl.flock`` is none of them: it waits in the
kernel, and with it the hub, on which all greenlets of the worker depend.

From outside: while the cron job refreshes the cache, the worker answers nobody, also requests that
have nothing to do with reports. "But gevent is asynchronous."

waitspy says ``blocked-loop``, names ``lock_cache`` with its line, and the connections and requests
that waited. It sees them through the hub's epoll and the sockets behind it, and that is all it
sees, as the report says: greenlets and gevent's timers are not read, so none is ever named as a
victim, and a call that makes nothing but those late is told as latent.

The fix: ask without waiting and sleep in between, as ``--healthy`` does; or the hub's thread pool
(``gevent.get_hub().threadpool.apply``).

Run it with ``python -m waitspy_scenarios.gevent_file_lock``; it needs the extra ``scenarios``, and
``flock`` of util-linux.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

HELD_S = 0.6
FREE_S = 0.4

_HIDDEN = "its loop is gevent's"

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "6"),
        kind="blocked-loop",
        function="lock_cache",
        file="gevent_file_lock/app.py",
        source="fcntl.flock(lock, fcntl.LOCK_EX)",
        victims=frozenset({"io", "connection"}),
        share=(0.3, 0.75),
        longest_s=HELD_S + 0.2,
        hidden=_HIDDEN,
    ),
    "healthy": Expected(("--seconds", "5", "--healthy"), hidden=_HIDDEN),
}
