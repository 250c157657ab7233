"""The command: ``python -m waitspy_scenarios.node_regex [options]``."""

from __future__ import annotations

import sys
from pathlib import Path

import waitspy_scenarios.node_regex as scenario
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs, find_command
from waitspy_scenarios.serving.processes import free_port
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(commands={"node": "nodejs"})
_SERVER = Path(__file__).with_name("server.js")


async def play(stage: Stage) -> None:
    """One server, a client whose names are none, and clients that only want an answer."""
    port, how = free_port(), "plain" if stage.options.healthy else "nested"
    node = find_command("node") or "node"
    await stage.start("server", node, str(_SERVER), str(port), how, ready="ready")
    await stage.load(
        Load("/check", get(port, "/check"), clients=1, gap_s=0.2),
        Load("/well", get(port, "/well"), clients=4, gap_s=0.05),
    )


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
