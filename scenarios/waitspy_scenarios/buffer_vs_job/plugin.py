"""The plugin that runs in every worker: it handles events and exports rows."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from waitspy_scenarios.buffer_vs_job.channel import Message
from waitspy_scenarios.buffer_vs_job.minihttp import Client
from waitspy_scenarios.buffer_vs_job.settings import Via, retry_delay_s

Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Starts a coroutine that nobody awaits."""


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """What a plugin needs to know; ``linger_s`` is how long a buffer may hold rows."""

    via: Via
    port: int
    timeout_s: float
    retry_s: float
    rows: int
    linger_s: float


class Buffer:
    """Rows to export together; nobody awaits their flush."""

    def __init__(
        self,
        limit: int,
        linger_s: float,
        export: Callable[[list[str]], Coroutine[Any, Any, None]],
        spawn: Spawn,
    ) -> None:
        self._limit = limit
        self._linger_s = linger_s
        self._export = export
        self._spawn = spawn
        self._rows: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, row: str) -> None:
        """Keep the row; flush when there are enough, at the latest when the oldest lingered."""
        self._rows.append(row)
        if len(self._rows) >= self._limit:
            self._start_flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._linger_s, self._start_flush)

    def _start_flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        rows, self._rows = self._rows, []
        self._spawn(self.flush(rows))

    async def flush(self, rows: list[str]) -> None:
        """Export the rows."""
        await self._export(rows)


class Plugin:
    """Handles the three kinds of message; ``reply`` takes what the program must know."""

    def __init__(
        self, settings: PluginSettings, spawn: Spawn, reply: Callable[[Message], None]
    ) -> None:
        self._settings = settings
        self._reply = reply
        self._client = Client(settings.port)
        self._buffer = Buffer(settings.rows, settings.linger_s, self.export_rows, spawn)

    async def handle(self, message: Message) -> None:
        """Do what the message asks."""
        kind = message["type"]
        if kind == "processEvent":
            await self.process_event(message["row"])
        elif kind == "ingestEvent":
            await self.ingest_event()
        elif kind == "runJob":
            await self.run_job(message["rows"], message["tries"])
        else:
            raise ValueError(f"unknown message {kind!r}")

    async def process_event(self, row: str) -> None:
        """Export the event's row by buffer or by job, and look something up."""
        if self._settings.via == "buffer":
            self._buffer.add(row)
        else:
            self._reply({"type": "job", "rows": [row], "tries": 0, "delay_s": 0.0})
        await self._look_up()

    async def ingest_event(self) -> None:
        """Store the event, in three round trips."""
        for _ in range(3):
            await self._look_up()

    async def run_job(self, rows: list[str], tries: int) -> None:
        """Export the rows, awaited."""
        await self.export_rows(rows, tries)

    async def export_rows(self, rows: list[str], tries: int = 0) -> None:
        """Insert the rows at the endpoint; a timeout becomes a job that tries again.

        ``asyncio.timeout`` and no other way to wait: when the loop comes back late and finds both
        the response and the timer due, ``wait_for`` would take the response, but here the timer
        wins, as it does where timers run before I/O.
        """
        settings = self._settings
        start_s = time.monotonic()
        timed_out = False
        try:
            async with asyncio.timeout(settings.timeout_s):
                await self._client.fetch("POST", "/insert", json.dumps(rows).encode())
        except TimeoutError:
            timed_out = True
        delay_s = retry_delay_s(settings.retry_s, tries) if timed_out else None
        self._reply(
            {
                "type": "export",
                "rows": rows,
                "tries": tries,
                "elapsed_s": time.monotonic() - start_s,
                "timed_out": timed_out,
                "settled": delay_s is None,
            }
        )
        if delay_s is not None:
            self._reply({"type": "job", "rows": rows, "tries": tries + 1, "delay_s": delay_s})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def _look_up(self) -> None:
        await self._client.fetch_kept("GET", "/lookup")
