"""A file that Node.js reads with readFileSync, from a share that has become slow.

A service fills in a template that lies on a share, and reads it anew for each request, so that who
writes greetings need not restart it. ``fs.readFileSync`` is quick as long as the share is; now it
takes a third of a second, in which the event loop does nothing else.

From outside: all requests hang together, also those that read nothing; the CPUs idle.

waitspy says ``blocked-loop``, and with ``--inspect`` who reads: ``readTemplate``.

The fix: read without blocking the loop (``fs.promises.readFile``), which ``--healthy`` does, and
keep what was read.

Run it with ``python -m waitspy_scenarios.node_sync_fs``; it needs node. The share is a named pipe
that is written to late. To profile it opens the server's inspector.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "6"),
        kind="blocked-loop",
        function="readTemplate",
        file="node_sync_fs/server.js",
        victims=frozenset({"io", "connection", "timer"}),
        share=(0.3, 1.3),
    ),
    "healthy": Expected(("--seconds", "5", "--healthy")),
}
