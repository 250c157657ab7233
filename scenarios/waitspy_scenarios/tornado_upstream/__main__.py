"""The command: ``python -m waitspy_scenarios.tornado_upstream [options]``."""

from __future__ import annotations

import sys

import waitspy_scenarios.tornado_upstream as scenario
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.processes import free_port
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("tornado",))


async def play(stage: Stage) -> None:
    """One Tornado process, one client that wants prices, and some that want the home page."""
    upstream, port = await stage.slow_upstream(scenario.DELAY_S), free_port()
    await stage.start(
        "tornado",
        *(
            sys.executable,
            "-m",
            "waitspy_scenarios.tornado_upstream.server",
            str(port),
            str(upstream),
        ),
        port=port,
    )
    path = "/price/async" if stage.options.healthy else "/price/sync"
    await stage.load(
        Load(path, get(port, path), clients=1, gap_s=0.4),
        Load("/", get(port, "/"), clients=4),
    )


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
