"""The command: ``python -m waitspy_scenarios.fastapi_sync_call [options]``."""

from __future__ import annotations

import sys

import waitspy_scenarios.fastapi_sync_call as scenario
from waitspy_scenarios.fastapi_sync_call.traffic import APP, NEEDS, start_rates, traffic
from waitspy_scenarios.serving.asgi import start_uvicorn
from waitspy_scenarios.serving.stage import Stage, make_parser, run


async def play(stage: Stage) -> None:
    """Uvicorn with several workers, and both kinds of clients."""
    port = await start_uvicorn(stage, APP, await start_rates(stage), workers=scenario.WORKERS)
    await stage.load(*traffic(port, healthy=stage.options.healthy))


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
