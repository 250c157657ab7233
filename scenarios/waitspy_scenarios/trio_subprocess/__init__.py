"""trio on hypercorn: a request runs a converter with ``subprocess.run``.

``subprocess.run`` waits in the kernel until the converter has ended, and trio's loop, on the same
thread, waits with it.

From outside: while one client's picture is converted, nobody else is answered; the server's CPU
idles, since the converter is another process.

waitspy says ``blocked-loop``, names ``make_thumbnail`` with its line, and the connections and
requests that waited. It sees them through the loop's epoll and the sockets behind it, and that is
all it sees, as the report says: trio's tasks and timeouts are not read, so none is ever named as a
victim, and a call that makes nothing but those late is told as latent.

The fix: ``await trio.run_process(…)``, which ``--healthy`` uses; or ``trio.to_thread.run_sync``.

Run it with ``python -m waitspy_scenarios.trio_subprocess``; it needs the extra ``scenarios``.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

CONVERSION_S = 0.4

_HIDDEN = "its loop is trio's"

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "6"),
        kind="blocked-loop",
        function="make_thumbnail",
        file="trio_subprocess/app.py",
        source="subprocess.run(CONVERTER, check=True)",
        wait="subprocess",
        victims=frozenset({"io", "connection"}),
        share=(0.3, 0.7),
        longest_s=CONVERSION_S + 0.2,
        hidden=_HIDDEN,
    ),
    "healthy": Expected(("--seconds", "5", "--healthy"), hidden=_HIDDEN),
}
