"""The traffic of piscina-buffer, against a server that is played: who gets what, and when it ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from waitspy_scenarios.buffer_vs_job.minihttp import HOST, read_message, response
from waitspy_scenarios.piscina_buffer.workload import VIAS, Workload
from waitspy_scenarios.serving.upstream import port_of


class Played:
    """Rows of the job are exported at once, those of the buffer once its workers are woken."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.woken: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, _ = await read_message(reader)
        _, what, *name = first.split(" ")[1].split("/")
        if what == "event":
            self.rows += name
        elif what == "wake":
            self.woken += name
        told = self._exports() if what == "exports" else {}
        writer.write(response("200 OK", json.dumps(told).encode()))
        await writer.drain()
        writer.close()

    def _exports(self) -> list[dict[str, Any]]:
        settled = {"job", *self.woken}
        return [{"rows": [row], "settled": row.split("-")[0] in settled} for row in self.rows]


def test_both_pools_get_the_same_events_and_are_woken_until_all_is_exported() -> None:
    played = Played()

    async def run() -> tuple[int, list[dict[str, Any]]]:
        async with await asyncio.start_server(played.serve, HOST, 0) as server:
            workload = Workload(port_of(server), 1.0)
            return workload.events, await workload.run(0.01)

    events, exports = asyncio.run(run())
    assert events > 0
    assert sorted(played.rows) == sorted(f"{via}-{n}" for via in VIAS for n in range(events))
    assert set(played.woken) == set(VIAS)
    assert all(one["settled"] for one in exports)
    assert len(exports) == 2 * events
