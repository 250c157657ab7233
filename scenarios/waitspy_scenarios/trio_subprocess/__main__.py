"""The command: ``python -m waitspy_scenarios.trio_subprocess [options]``."""

from __future__ import annotations

import sys

import waitspy_scenarios.trio_subprocess as scenario
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.processes import free_port
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("hypercorn", "trio"))


async def play(stage: Stage) -> None:
    """Hypercorn with a trio worker, one client that wants thumbnails, and some that do not."""
    port = free_port()
    await stage.start(
        "hypercorn",
        *(sys.executable, "-m", "hypercorn", "waitspy_scenarios.trio_subprocess.app:app"),
        *("--worker-class", "trio", "--bind", f"127.0.0.1:{port}"),
        ready="Running on",
    )
    path = "/thumbnail/async" if stage.options.healthy else "/thumbnail/sync"
    await stage.load(
        Load(path, get(port, path), clients=1, gap_s=0.4),
        Load("/", get(port, "/"), clients=4),
    )


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
