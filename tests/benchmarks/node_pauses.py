"""How long a Node.js stands still while its stacks are taken through its inspector.

A timer of 5 ms says how late it was: for some seconds by itself, then as long while it is recorded
with ``--inspect``, which includes that the inspector is opened and closed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.live.running import record, target

_SECONDS = 10.0
_SHAPES = ((1, 100, 0), (1, 100, 4), (1, 100, 32), (100, 10_000, 4), (500, 50_000, 4))
_TARGET = Path(__file__).with_name("heartbeat.js")


def main() -> None:
    """One line for each size of heap, number of functions, and of worker threads."""
    node = shutil.which("node")
    if node is None:
        print("no node here")
        return
    print(f"{'heap':>8} {'functions':>10} {'workers':>8} {'alone':>9} {'recorded':>9} {'late':>5}")
    for mb, functions, workers in _SHAPES:
        argv = [node, _TARGET, mb, functions, workers]
        with (
            tempfile.TemporaryDirectory() as folder,
            target(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as beats,
        ):
            time.sleep(_SECONDS)
            from_ns = time.monotonic_ns()
            record(beats.pid, Path(folder) / "rec", "--inspect", seconds=_SECONDS)
            said, _ = beats.process.communicate()
        late = json.loads(said)
        alone, recorded = (
            [ms for at_ns, ms in late if (at_ns > from_ns) is after] for after in (False, True)
        )
        print(
            f"{mb:5} MB {functions:10,} {workers:8} {max(alone, default=0):6.1f} ms"
            f" {max(recorded, default=0):6.1f} ms {sum(ms > 30 for ms in recorded):5}"
        )


if __name__ == "__main__":
    main()
