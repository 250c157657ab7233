"""A worker pool that parks its idle workers, and the buffered exports that stand still meanwhile.

A server hands messages to a few workers. Each worker owns an asyncio loop and an inbox; when no
message is being handled it waits in a blocking ``get`` on the inbox, outside the loop, and runs
the loop only while a message is being handled. A plugin exports rows in one of two ways:

* ``buffer``: handling an event adds a row to a buffer, whose flush nobody awaits;
* ``job``: handling an event enqueues a job, which a worker awaits.

Both await the same request to an endpoint that always takes the same time. The job always takes
that time. The buffer's response stays unread in its socket until some later message happens to
wake the worker; if that is later than the plugin's timeout, the timeout wins although the
response is there, the retry inserts the row again, and the row is a duplicate. Little traffic
makes it bad, heavy traffic hides it.

The processes, for whoever looks in from outside: the program you start hands out the messages;
``waitspy_scenarios.buffer_vs_job.worker NAME`` are the workers (NAME is ``buffer-0``, ``job-0`` and
so on); ``waitspy_scenarios.buffer_vs_job.endpoint endpoint`` answers the requests. With ``--via
both`` each via has its own pool, and both run side by side with the same arrivals: the workers of
the job pool park in the same function just as long, and harm nobody.

The fix: the loop itself waits for messages (``--park off``), or the blocking wait gets a cap
(``--park cap:SECONDS``), which bounds the harm; or whoever starts work awaits it (``job``).

Run it with ``python -m waitspy_scenarios.buffer_vs_job``; it needs only the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from waitspy_scenarios import Expected

_PARKED = Expected(
    (),
    kind="parked-loop",
    function="Worker.wait_for_message",
    file="buffer_vs_job/worker.py",
    # The response (io), the plugin's timeout (timer), the flush itself (task), and what the last
    # iteration before the park had scheduled (callback).
    victims=frozenset({"task", "timer", "callback", "io"}),
)

TRUTH: Mapping[str, Expected] = {
    "block": replace(
        _PARKED,
        options=("--small", "--park", "block"),
        victim="spurious timeout of Buffer.flush",
    ),
    "block-thread": replace(_PARKED, options=("--small", "--park", "block", "--pool", "thread")),
    # No longer than the cap, plus what a busy machine may add.
    "cap": replace(_PARKED, options=("--small", "--park", "cap:0.5"), longest_s=0.6),
    "off": Expected(("--small", "--healthy")),
    # Parked just as long, but what is awaited is never left behind.
    "job": Expected(("--small", "--park", "block", "--via", "job")),
    # Fifty messages a second end every park soon; a worker that gets few of them may still show
    # short episodes.
    "high": replace(
        _PARKED,
        options=("--small", "--rate", "high", "--events", "600"),
        longest_s=1.0,
        required=False,
    ),
}
