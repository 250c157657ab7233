"""The command: ``python -m scenarios.fastapi_sync_call [options]``."""

from __future__ import annotations

import sys

import scenarios.fastapi_sync_call as scenario
from scenarios.fastapi_sync_call.traffic import APP, NEEDS, start_rates, traffic
from scenarios.serving.asgi import start_uvicorn
from scenarios.serving.stage import Stage, make_parser, run


async def play(stage: Stage) -> None:
    """Uvicorn with several workers, and both kinds of clients."""
    port = await start_uvicorn(stage, APP, await start_rates(stage), workers=scenario.WORKERS)
    await stage.load(*traffic(port, healthy=stage.options.healthy))


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
