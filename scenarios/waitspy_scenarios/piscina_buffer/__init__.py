"""A pool of worker threads in Node.js that parks its workers while answers wait unread.

A service of Node.js hands each record to a pool of worker threads, piscina's. A worker sends it on
to the store and returns at once: "the answer comes when it comes". It does not: between two jobs
piscina's workers wait in ``Atomics.wait``, where their event loop does not turn. So the store's
answer lies in the socket until something else lets the loop turn, and with it lies the record that
is buffered until it is stored.

From outside: everything is idle. The main thread is in its loop and answers at once, the workers
use no CPU, the store has answered long ago, and yet the buffers grow.

waitspy says ``parked-loop``: unread data waits on the loops of worker threads that are parked, and,
with ``--inspect``, who parks them: ``atomicsWaitLoop`` of piscina.

The fix: await in a task all that it has started; or let idle workers wait in their loop
(``atomics: 'disabled'``, before 5.0 ``useAtomics: false``), which ``--healthy`` does. Older
versions do the same: ``--piscina 3.2.0`` tries one.

Run it with ``python -m waitspy_scenarios.piscina_buffer``; it needs node and npm, which gets
piscina into a folder that is deleted at the end. To profile it opens the server's inspector.
"""

from __future__ import annotations

from collections.abc import Mapping

from waitspy_scenarios import Expected

TRUTH: Mapping[str, Expected] = {
    "harm": Expected(
        ("--seconds", "6"),
        kind="parked-loop",
        function="atomicsWaitLoop",
        wait="lock",
        victims=frozenset({"io"}),
        share=(0.5, 2.5),
    ),
    "harm-older": Expected(
        ("--seconds", "6", "--piscina", "3.2.0"),
        kind="parked-loop",
        function="atomicsWaitLoop",
        wait="lock",
        victims=frozenset({"io"}),
        share=(0.5, 2.5),
    ),
    "healthy": Expected(("--seconds", "5", "--healthy")),
}
