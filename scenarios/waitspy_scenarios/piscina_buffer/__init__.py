"""The story of buffer-vs-job where it happened: a pool of Node.js, piscina's, parks its workers.

A server in Node.js takes events over HTTP and hands each to the worker threads of a pool. Between
two jobs piscina's workers wait in ``Atomics.wait``, where their event loop does not turn. A plugin
in them exports rows in one of two ways:

* ``buffer``: handling an event adds a row to a buffer, whose flush nobody awaits;
* ``job``: handling an event enqueues a job, which a worker awaits.

Both await the same request to an endpoint that always takes the same time. The job always takes
that time. The buffer's answer lies unread in its socket until some later event wakes the worker; if
that is later than the plugin's timeout, the timeout wins although the answer is there, and the
retry inserts the row again. Each way has a pool of its own here, in one process, with the same
arrivals: the workers of the job pool are parked in the same function, and harm nobody.

From outside: everything is idle. The main thread is in its loop and answers at once, the workers
use no CPU, and the endpoint has answered long ago.

waitspy says ``parked-loop``: unread data waits on the loops of worker threads that are parked, and,
with ``--inspect``, who parks them: ``atomicsWaitLoop`` of piscina.

The fix: await in a task all that it has started, as the job does; or let idle workers wait in their
loop (``atomics: 'disabled'``, before 5.0 ``useAtomics: false``), which ``--healthy`` does. The
version of the story does the same: ``--piscina 3.2.0`` tries one.

Run it with ``python -m waitspy_scenarios.piscina_buffer``; it needs node and npm, which gets
piscina into a folder that is deleted at the end. To profile it opens the server's inspector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from waitspy_scenarios import Expected

_PARKED = Expected(
    ("--seconds", "8"),
    kind="parked-loop",
    function="atomicsWaitLoop",
    wait="lock",
    victims=frozenset({"io"}),
    share=(0.2, 1.3),
)

TRUTH: Mapping[str, Expected] = {
    "harm": _PARKED,
    "harm-older": replace(_PARKED, options=(*_PARKED.options, "--piscina", "3.2.0")),
    "healthy": Expected(("--seconds", "5", "--healthy")),
}
