"""What waitspy costs: on idle servers of several shapes, and for a look at many tasks.

``make bench``. Shares are of one core. The observer is waitspy itself (kernel state, epolls,
loops, pools, sockets); the samplers are its py-spy processes, which back off to their budget.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from tests.live.running import record, target
from tests.pythons import found
from waitspy.remote.reader import Reader

_SECONDS = 10.0
_SHAPES = ((1, 1), (1, 10), (1, 50), (8, 1), (8, 4), (32, 2))
_CROWDS = (10, 1_000, 5_000)
_LOOKS = 20


def main() -> None:
    """One line for each shape, then one for each Python."""
    idle_servers()
    print()
    looks()


def idle_servers() -> None:
    """What a recording of an idle server costs."""
    print(
        f"{'workers':>7} {'threads':>7} {'observer':>9} {'samplers':>9} {'rate':>9} {'memory':>8}"
    )
    for workers, threads in _SHAPES:
        argv = [sys.executable, Path(__file__).with_name("herd.py"), workers, threads]
        with tempfile.TemporaryDirectory() as folder, target(argv) as herd:
            report = record(herd.pid, Path(folder) / "rec", seconds=_SECONDS)
            cost = json.loads((Path(folder) / "rec" / "meta.json").read_text())["cost"]
        seconds = report["recording"]["duration_s"]
        rates = sorted(w["rate_hz"] for w in report["workers"] if w["pid"] != herd.pid)
        observer = cost["observer_cpu_s"] / seconds
        samplers = (cost["cpu_s"] - cost["observer_cpu_s"]) / seconds
        print(
            f"{workers:7} {threads:7} {observer:9.1%} {samplers:9.1%}"
            f" {rates[len(rates) // 2]:6.0f} Hz {cost['peak_rss_mb']:5.0f} MB"
        )
        assert report["findings"] == []


def looks() -> None:
    """What one look at a blocked loop costs, by the number of its tasks."""
    print(f"{'python':>10}" + "".join(f"{tasks:>9} tasks" for tasks in _CROWDS))
    for version, python in found().items():
        costs_ms = [_look_ms(python, tasks) for tasks in _CROWDS]
        print(f"{version:>10}" + "".join(f"{cost_ms:12.1f} ms" for cost_ms in costs_ms))


def _look_ms(python: str, tasks: int) -> float:
    with target([python, Path(__file__).with_name("crowd.py"), tasks]) as crowd:
        reader = Reader(crowd.pid)
        (loop,) = reader.loops()
        assert loop.pending == tasks + 1
        taken = [reader.gated_snapshot(loop) for _ in range(_LOOKS)]
        assert None not in taken
    return statistics.median(one.cost_s * 1000 for one in taken if one is not None)


main()
