"""A pipeline of processes whose workers each own an event loop, and hand results on with ``put``.

A ``ProcessPoolExecutor`` runs one crawler per process. A crawler owns an asyncio loop, keeps
several downloads under way and answers ``/health``. Each page goes to the next stage, the main
process, over a bounded ``multiprocessing.Queue``, with ``put`` right in the coroutine: when the
next stage is slow, the queue is full, and ``put`` waits on the loop's thread.

From outside: the health checks fail and downloads time out, although the network is fast and the
CPUs idle; the slow stage is in another process and looks fine.

waitspy says ``blocked-loop`` in each crawler, names the line with ``put``, and the downloads and
health checks that waited. The main process waits all the time as well, but nobody behind it.

The fix: let the loop wait, as ``--healthy`` does: ``put_nowait``, and ``asyncio.sleep`` while the
queue is full.

Run it with ``python -m waitspy_scenarios.process_pool_pipeline``; it needs only the standard
library.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

WORKERS = 2

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "8"),
        kind="blocked-loop",
        function="hand_over",
        file="process_pool_pipeline/app.py",
        source="pages.put(page)",
        wait="queue",
        victims=frozenset({"io", "timer", "callback", "task"}),
        processes=WORKERS,
        share=(0.4, 1.3),
    ),
    "healthy": Expected(("--seconds", "6", "--healthy")),
}
