"""The command: ``python -m waitspy_scenarios.piscina_buffer [options]``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import waitspy_scenarios.piscina_buffer as scenario
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs, find_command
from waitspy_scenarios.serving.processes import finish, free_port
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(commands={"node": "nodejs", "npm": "npm"})
_NEWEST = "^5.1"


async def play(stage: Stage) -> None:
    """One server with two worker threads, and a client that sends a record now and then."""
    folder = stage.folder()
    for name in ("server.js", "worker.js"):
        shutil.copy(Path(__file__).with_name(name), folder)
    npm, node = (find_command(name) or name for name in ("npm", "node"))
    piscina = f"piscina@{stage.options.piscina}"
    install = (npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), piscina)
    await finish("npm", *install)
    atomics, port = "disabled" if stage.options.healthy else "sync", free_port()
    server = str(folder / "server.js")
    await stage.start("server", node, server, str(port), atomics, ready="ready")
    await stage.load(Load("/record", get(port, "/record"), clients=2, gap_s=1.5))


if __name__ == "__main__":
    parser = make_parser(scenario.__doc__)
    parser.add_argument(
        "--piscina", default=_NEWEST, metavar="VERSION", help="as npm calls it, such as 3.2.0"
    )
    sys.exit(run(play, parser, NEEDS))
