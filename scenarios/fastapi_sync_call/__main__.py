"""The command: ``python -m scenarios.fastapi_sync_call [options]``."""

from __future__ import annotations

import sys

import scenarios.fastapi_sync_call as scenario
from scenarios.serving.load import Load, get
from scenarios.serving.needs import Needs
from scenarios.serving.processes import free_port
from scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("fastapi", "httpx", "requests", "uvicorn"))
_UPSTREAM_DELAY_S = 0.3


async def play(stage: Stage) -> None:
    """Uvicorn with its workers, the endpoint's clients, and a load balancer's check of health."""
    upstream = await stage.slow_upstream(_UPSTREAM_DELAY_S)
    port = free_port()
    await stage.start(
        "uvicorn",
        *(sys.executable, "-m", "uvicorn", "scenarios.fastapi_sync_call.app:app"),
        *("--port", str(port), "--workers", str(scenario.WORKERS), "--log-level", "info"),
        *("--loop", "asyncio", "--http", "h11", "--no-access-log"),
        ready="Application startup complete",
        times=scenario.WORKERS,
        env={"RATES_URL": f"http://127.0.0.1:{upstream}/rate"},
    )
    path = "/rate/async" if stage.options.healthy else "/rate/sync"
    await stage.load(
        Load(path, get(port, path), clients=6, gap_s=0.1),
        Load("/health", get(port, "/health"), clients=2, gap_s=0.1),
    )


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
