"""The command: ``python -m waitspy_scenarios.fastapi_full_threads [options]``."""

from __future__ import annotations

import sys

import waitspy_scenarios.fastapi_full_threads as scenario
from waitspy_scenarios.serving.asgi import start_uvicorn
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("fastapi", "requests", "uvicorn"))
_APP = "waitspy_scenarios.fastapi_full_threads.app:app"
_STORE_DELAY_S = 1.0
_CLIENTS = 240  # for 2 * 40 threads: enough for each, however unevenly workers accept
_CLIENTS_HEALTHY = 30  # one worker alone could serve them


async def play(stage: Stage) -> None:
    """Uvicorn with several workers, and more or fewer clients than they have threads."""
    store = await stage.slow_upstream(_STORE_DELAY_S)
    env = {"STORE_URL": f"http://127.0.0.1:{store}/report"}
    port = await start_uvicorn(stage, _APP, env, workers=scenario.WORKERS)
    clients = _CLIENTS_HEALTHY if stage.options.healthy else _CLIENTS
    await stage.load(
        Load("/report", get(port, "/report"), clients=clients),
        Load("/health", get(port, "/health"), clients=2, gap_s=0.2),
    )


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
