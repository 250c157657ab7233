"""A thread that computes beside the event loop, and keeps the GIL.

A service recomputes its statistics in a thread, "so that the event loop stays free". Only one
thread of a process runs Python at a time. A thread in Python code gives the GIL away every 5 ms
when asked; one inside a single long call into C, as ``sorted`` of a big list, keeps it to the
end.

From outside: requests hang for as long as the call lasts, every time the statistics are made;
one CPU of several is busy, and a profile shows the loop in ``select``, as if it were idle.

waitspy says ``gil-bound``: the loop's thread wants the GIL, and names the line of the thread that
keeps it.

The fix: compute in another process, which ``--healthy`` does, or in small pieces.

Run it with ``python -m waitspy_scenarios.gil_hog``; it needs the extra ``scenarios``.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "8"),
        kind="gil-bound",
        function="make_statistics",
        file="gil_hog/app.py",
        source="ordered = sorted(latencies)",
        wait="on-cpu",
        victims=frozenset({"io", "timer", "callback", "task", "connection"}),
        share=(0.3, 1.3),
    ),
    "healthy": Expected(("--seconds", "6", "--healthy")),
}
