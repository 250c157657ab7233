"""The command: ``python -m waitspy_scenarios.gil_hog [options]``."""

from __future__ import annotations

import sys

import waitspy_scenarios.gil_hog as scenario
from waitspy_scenarios.serving.asgi import start_uvicorn
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("fastapi", "uvicorn"))
_APP = "waitspy_scenarios.gil_hog.app:app"


async def play(stage: Stage) -> None:
    """One server that makes its statistics in a thread or in a process, and some clients."""
    where = "process" if stage.options.healthy else "thread"
    port = await start_uvicorn(stage, _APP, {"STATISTICS": where})
    await stage.load(Load("/price", get(port, "/price"), clients=4, gap_s=0.05))


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
