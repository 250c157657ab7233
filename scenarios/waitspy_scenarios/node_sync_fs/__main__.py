"""The command: ``python -m waitspy_scenarios.node_sync_fs [options]``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import waitspy_scenarios.node_sync_fs as scenario
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs, find_command
from waitspy_scenarios.serving.processes import free_port
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(commands={"node": "nodejs"})
_SERVER = Path(__file__).with_name("server.js")
_SLOW_SHARE = """echo ready
while exec 3>"$0"; do sleep 0.3; echo "Good morning" >&3; exec 3>&-; sleep 0.05; done"""
"""Opening it waits for a reader, who gets the text a moment later, and its end."""


async def play(stage: Stage) -> None:
    """One server whose template is late, and clients that want it, or only an answer."""
    template = stage.folder() / "template"
    os.mkfifo(template)
    await stage.start("share", "sh", "-c", _SLOW_SHARE, str(template), ready="ready")
    port, how = free_port(), "async" if stage.options.healthy else "sync"
    node = find_command("node") or "node"
    await stage.start("server", node, str(_SERVER), str(port), str(template), how, ready="ready")
    await stage.load(
        Load("/greet", get(port, "/greet"), clients=1, gap_s=0.1),
        Load("/well", get(port, "/well"), clients=4, gap_s=0.05),
    )


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
