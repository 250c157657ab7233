"""The command: ``python -m waitspy_scenarios.process_pool_pipeline [options]``."""

from __future__ import annotations

import sys

import waitspy_scenarios.process_pool_pipeline as scenario
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.processes import free_port
from waitspy_scenarios.serving.stage import Stage, make_parser, run

_APP = "waitspy_scenarios.process_pool_pipeline.app"


async def play(stage: Stage) -> None:
    """The pipeline, and somebody who asks each crawler for its health."""
    upstream = await stage.slow_upstream(0.05)
    health = [free_port() for _ in range(scenario.WORKERS)]
    mode = "awaiting" if stage.options.healthy else "blocking"
    await stage.start(
        "pipeline",
        *(sys.executable, "-m", _APP, mode, str(upstream), *map(str, health)),
        ready="crawling",
        times=scenario.WORKERS,
    )
    await stage.load(
        *(
            Load(f"/health of crawler {number}", get(port, "/health"), clients=1)
            for number, port in enumerate(health)
        )
    )


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__)))
