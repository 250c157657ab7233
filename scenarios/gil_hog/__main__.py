"""The command: ``python -m scenarios.gil_hog [options]``."""

from __future__ import annotations

import sys

import scenarios.gil_hog as scenario
from scenarios.serving.asgi import start_uvicorn
from scenarios.serving.load import Load, get
from scenarios.serving.needs import Needs
from scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("fastapi", "uvicorn"))
_APP = "scenarios.gil_hog.app:app"


async def play(stage: Stage) -> None:
    """One server that makes its statistics in a thread or in a process, and some clients."""
    where = "process" if stage.options.healthy else "thread"
    port = await start_uvicorn(stage, _APP, {"STATISTICS": where})
    await stage.load(Load("/price", get(port, "/price"), clients=4, gap_s=0.05))


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
