"""The traffic: events for both pools at the same times, until each of their rows is exported."""

from __future__ import annotations

import asyncio
import json
from itertools import takewhile

from waitspy_scenarios.buffer_vs_job.channel import Message
from waitspy_scenarios.buffer_vs_job.minihttp import Client
from waitspy_scenarios.buffer_vs_job.settings import Rate, arrivals

VIAS = ("buffer", "job")
SEED = 1
RATE = Rate("low", 0.8)
_LOOK_S = 0.1


class Workload:
    """Sends events to the server on ``port`` for ``seconds``, then waits for their exports."""

    def __init__(self, port: int, seconds: float) -> None:
        self._server = Client(port)
        self._at_s = tuple(takewhile(lambda at_s: at_s < seconds, arrivals(RATE, SEED)))

    @property
    def events(self) -> int:
        """How many each pool gets."""
        return len(self._at_s)

    async def run(self, wake_every_s: float) -> list[Message]:
        """What the workers said of each export.

        A parked worker needs some later event to notice what it left behind: once the traffic is
        over, all of them are woken so often. By then every export is done or has timed out, so that
        this changes when a timeout is noticed, not whether.
        """
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for number, at_s in enumerate(self._at_s):
            await asyncio.sleep(max(0.0, start_s + at_s - loop.time()))
            for via in VIAS:
                await self._server.fetch("GET", f"/event/{via}-{number}")
        unsettled = {f"{via}-{number}" for via in VIAS for number in range(self.events)}
        wake_s = loop.time() + wake_every_s
        while True:
            exports: list[Message] = json.loads(await self._server.fetch("GET", "/exports"))
            unsettled -= {row for one in exports if one["settled"] for row in one["rows"]}
            if not unsettled:
                return exports
            await asyncio.sleep(_LOOK_S)
            if loop.time() > wake_s:
                wake_s += wake_every_s
                for via in VIAS:
                    await self._server.fetch("GET", f"/wake/{via}")
