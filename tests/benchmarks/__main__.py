"""What waitspy costs on idle servers of several shapes: ``make bench``.

Shares are of one core. The observer is waitspy itself (kernel state, epolls); the samplers are its
py-spy processes, which back off to their budget.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.live.running import record, target

_SECONDS = 10.0
_SHAPES = ((1, 1), (1, 10), (1, 50), (8, 1), (8, 4), (32, 2))


def main() -> None:
    """One line for each shape."""
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


main()
