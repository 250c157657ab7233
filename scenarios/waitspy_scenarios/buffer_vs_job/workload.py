"""The traffic of one via: events at their times, jobs when they are due, until all is settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from waitspy_scenarios.buffer_vs_job.channel import Message
from waitspy_scenarios.buffer_vs_job.children import WorkerHandle
from waitspy_scenarios.buffer_vs_job.pool import Pool
from waitspy_scenarios.buffer_vs_job.settings import Settings, Via, arrivals
from waitspy_scenarios.buffer_vs_job.table import Export


class Workload:
    """Sends events to the workers of one via and collects the exports of the measured rows.

    The first ``settings.events`` events are measured. Traffic goes on at the same rate until each
    of their rows was exported or given up, because a parked worker needs some later message to
    notice.
    """

    def __init__(self, settings: Settings, via: Via, workers: Sequence[WorkerHandle]) -> None:
        self._settings = settings
        self._via = via
        self._pool = Pool(workers, self._on_message)
        self._measured = {f"{via}-{number}" for number in range(settings.events)}
        self._unsettled = set(self._measured)
        self._unhandled = set(self._measured)
        self._settled = asyncio.Event()
        self._all_handled = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._group = asyncio.TaskGroup()
        self._exports: list[Export] = []

    async def run(self, begin: Callable[[], Coroutine[Any, Any, Any]]) -> list[Export]:
        """The exports of the measured rows; raises an ExceptionGroup of what failed.

        ``begin`` is awaited when the workers are ready; no event arrives before it returns.
        """
        async with self._group:
            for index in range(len(self._pool)):
                self._start(self._pool.listen(index))
            await self._pool.ready.wait()
            await begin()
            self._start(self._send_events())
            self._start(self._wake_forgotten())
            await self._settled.wait()
            for task in tuple(self._tasks):
                task.cancel()
        self._pool.close()
        return self._exports

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_events(self) -> None:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for number, at_s in enumerate(arrivals(self._settings.rate, self._settings.seed)):
            await asyncio.sleep(max(0.0, start_s + at_s - loop.time()))
            self._start(self._handle_event(f"{self._via}-{number}"))

    async def _handle_event(self, row: str) -> None:
        await self._pool.run({"type": "processEvent", "row": row})
        await self._pool.run({"type": "ingestEvent"})
        self._unhandled.discard(row)
        if not self._unhandled:
            self._all_handled.set()

    async def _handle_job(self, message: Message) -> None:
        await asyncio.sleep(message["delay_s"])
        await self._pool.run({"type": "runJob", "rows": message["rows"], "tries": message["tries"]})

    async def _wake_forgotten(self) -> None:
        """Wake the workers that the traffic passes by, so that the run ends.

        With little traffic only the first worker gets messages; a flush that the second one left
        behind would be noticed after minutes. By the time of the first wake-up every measured
        flush is done or has timed out, so this changes when a timeout is noticed, not whether.
        """
        await self._all_handled.wait()
        while True:
            await asyncio.sleep(self._settings.timeout_s + self._settings.delay_s)
            self._pool.wake_idle({"type": "ingestEvent"})

    def _on_message(self, message: Message) -> None:
        if message["type"] == "job":
            self._start(self._handle_job(message))
            return
        rows = self._measured.intersection(message["rows"])
        self._exports += [
            Export(row, message["tries"], message["elapsed_s"], message["timed_out"])
            for row in sorted(rows)
        ]
        if message["settled"]:
            self._unsettled -= rows
            if not self._unsettled:
                self._settled.set()
