"""A regular expression that takes very long on some texts, in Node.js.

A service checks lists of names with ``/^(?:[a-z]+)+$/``. Of a text that is no name, such as twenty
letters and an exclamation mark, the engine tries every way to divide the letters among the two
pluses: each letter more doubles the time. The event loop does nothing else meanwhile.

From outside: with some requests all others hang, and one CPU is busy.

waitspy says ``busy-loop``, and with ``--inspect`` in which function: ``checkNames``.

The fix: an expression that can match in one way only, ``/^[a-z]+$/``, which ``--healthy`` uses.

Run it with ``python -m waitspy_scenarios.node_regex``; it needs node. To profile it opens the
server's inspector.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "6"),
        kind="busy-loop",
        function="checkNames",
        file="node_regex/server.js",
        victims=frozenset({"io", "connection", "timer"}),
        share=(0.2, 1.3),
    ),
    "healthy": Expected(("--seconds", "5", "--healthy")),
}
