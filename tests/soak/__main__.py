"""Records a busy server in which nothing is wrong, and expects silence: argv SECONDS [CLIENTS].

Exit code 1 when anything is said to starve or to be late.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.accuracy import services
from tests.accuracy.runner import client
from tests.live.running import target
from waitspy.library import load

SERVER = Path(__file__).parent / "targets" / "server.py"
SERVICES = ("POSTGRES_PORT", "REDIS_PORT", "UPSTREAM_PORT")
_GAP_S = 0.05
_DEFAULTS = ("180", "4")


def main(seconds: float, clients: int) -> int:
    """Runs both, prints the report and gives the exit code."""
    missing = services.missing(SERVICES)
    if missing is not None:
        print(missing)
        return 1
    environment = {**os.environ, **services.ports(SERVICES)}
    with (
        tempfile.TemporaryDirectory() as folder,
        target([sys.executable, SERVER], env=environment) as server,
        client(server.ready["port"], clients, _GAP_S),
    ):
        argv = [sys.executable, "-m", "waitspy", "record", server.pid]
        argv += ["-d", seconds, "-o", Path(folder) / "recording"]
        subprocess.run([str(part) for part in argv], check=True)
        found = load(Path(folder) / "recording").findings
    alarms = [one for one in found if one.verdict != "latent"]
    print(f"{len(alarms)} alarms in {seconds:g} s of a server in which nothing is wrong")
    return 1 if alarms else 0


if __name__ == "__main__":
    seconds, clients = (*sys.argv[1:], *_DEFAULTS[len(sys.argv) - 1 :])
    sys.exit(main(float(seconds), int(clients)))
