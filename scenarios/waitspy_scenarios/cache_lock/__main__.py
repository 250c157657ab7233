"""The command: ``python -m waitspy_scenarios.cache_lock [options]``."""

from __future__ import annotations

import sys

import waitspy_scenarios.cache_lock as scenario
from waitspy_scenarios.serving.asgi import start_uvicorn
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("fastapi", "requests", "uvicorn"))
_APP = "waitspy_scenarios.cache_lock.app:app"
_DELAY_S = 0.5


async def play(stage: Stage) -> None:
    """One server that fetches its prices again and again, and some clients."""
    upstream = await stage.slow_upstream(_DELAY_S)
    env = {"PRICES_URL": f"http://127.0.0.1:{upstream}/prices"}
    if stage.options.healthy:
        env["ASK_FIRST"] = "1"
    port = await start_uvicorn(stage, _APP, env)
    await stage.load(Load("/price", get(port, "/price"), clients=4, gap_s=0.05))


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
