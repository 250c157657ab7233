"""The command: ``python -m waitspy_scenarios.piscina_buffer [options]``."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import waitspy_scenarios.piscina_buffer as scenario
from waitspy_scenarios.buffer_vs_job.channel import Message
from waitspy_scenarios.buffer_vs_job.endpoint import Endpoint
from waitspy_scenarios.buffer_vs_job.minihttp import HOST
from waitspy_scenarios.buffer_vs_job.settings import RETRY_LIMIT
from waitspy_scenarios.buffer_vs_job.table import Export, format_table, summarise
from waitspy_scenarios.piscina_buffer.workload import RATE, SEED, VIAS, Workload
from waitspy_scenarios.serving.needs import Needs, find_command
from waitspy_scenarios.serving.processes import finish, free_port
from waitspy_scenarios.serving.stage import Stage, make_parser, run
from waitspy_scenarios.serving.upstream import port_of

NEEDS = Needs(commands={"node": "nodejs", "npm": "npm"})
_NEWEST = "^5.1"
_WORKERS = 2  # of each pool
DELAY_S = 0.3
_TIMEOUT_S, _RETRY_S = 1.5, 0.2


async def play(stage: Stage) -> None:
    """One server with two pools, the endpoint of both, and the table of what each took."""
    folder = stage.folder()
    for name in ("server.js", "plugin.js"):
        shutil.copy(Path(__file__).with_name(name), folder)
    npm, node = (find_command(name) or name for name in ("npm", "node"))
    piscina = f"piscina@{stage.options.piscina}"
    install = (npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), piscina)
    await finish("npm", *install)
    atomics, port = "disabled" if stage.options.healthy else "sync", free_port()
    endpoint = Endpoint(DELAY_S)
    async with await asyncio.start_server(endpoint.serve, HOST, 0) as listening:
        told = {
            "endpoint": port_of(listening),
            "timeout_ms": _TIMEOUT_S * 1000,
            "retry_ms": _RETRY_S * 1000,
            "retries": RETRY_LIMIT,
            "workers": _WORKERS,
        }
        server = (str(folder / "server.js"), str(port), atomics, json.dumps(told))
        await stage.start("server", node, *server, ready="ready")
        workload = Workload(port, stage.options.seconds)
        exports = await stage.during(workload.run(_TIMEOUT_S + DELAY_S))
    if stage.options.json is not None:
        stage.options.json.write_text(json.dumps(exports, indent=1))
    title = (
        f"buffer vs job: {piscina} atomics={atomics} rate={RATE} events={workload.events} "
        f"workers={_WORKERS} delay={DELAY_S:g} s timeout={_TIMEOUT_S:g} s seed={SEED}"
    )
    summaries = [
        summarise(via, workload.events, _of(via, exports), endpoint.inserts) for via in VIAS
    ]
    print(format_table(title, summaries), flush=True)


def _of(via: str, exports: Sequence[Message]) -> list[Export]:
    """The exports of one pool."""
    return [
        Export(row, one["tries"], one["ended_s"] - one["began_s"], one["timed_out"])
        for one in exports
        for row in one["rows"]
        if row.startswith(f"{via}-")
    ]


if __name__ == "__main__":
    parser = make_parser(scenario.__doc__)
    parser.add_argument(
        "--piscina", default=_NEWEST, metavar="VERSION", help="as npm calls it, such as 3.2.0"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="also write which thread made each export, from when to when",
    )
    sys.exit(run(play, parser, NEEDS))
