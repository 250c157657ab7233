"""The command: ``python -m waitspy_scenarios.dns_behind_executor [options]``."""

from __future__ import annotations

import sys

import waitspy_scenarios.dns_behind_executor as scenario
from waitspy_scenarios.serving.asgi import start_uvicorn
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("fastapi", "uvicorn"))
_APP = "waitspy_scenarios.dns_behind_executor.app:app"


async def play(stage: Stage) -> None:
    """One server; clients who archive, and clients whose requests need a lookup."""
    port = await start_uvicorn(stage, _APP)
    path = "/archive/own" if stage.options.healthy else "/archive/default"
    await stage.load(
        Load(path, get(port, path), clients=20, gap_s=0.1),
        Load("/lookup", get(port, "/lookup"), clients=3, gap_s=0.1),
    )


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
