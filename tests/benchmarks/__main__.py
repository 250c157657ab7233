"""What waitspy costs: idle servers, a look at many tasks, a server at its limit, pauses of Node.js,
judging; and what other profilers cost beside it.

``make bench``. Shares are of one core, without what attaching takes once.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks import judging, node_pauses, peers, saturated
from tests.live.running import record, target
from tests.pythons import found
from waitspy.model.clock import NS
from waitspy.remote.reader import Reader
from waitspy.remote.values import LoopSnapshot

_SECONDS = 10.0
_SHAPES = ((1, 1), (1, 10), (1, 50), (8, 1), (8, 10), (32, 2), (64, 2))
_CROWDS = (10, 1_000, 5_000)
_LOOKS = 20
_WAITERS = 100
_ENOUGH_NS = 10 * NS


def main() -> None:
    """One line for each shape, Python, number of clients, and large recording."""
    idle_servers()
    print()
    looks()
    print()
    peers.main()
    print()
    saturated.main()
    print()
    node_pauses.main()
    print()
    judging.main()


def idle_servers() -> None:
    """What a recording of an idle server costs."""
    print(f"{'workers':>7} {'threads':>7} {'CPU':>7} {'attaching':>10} {'rate':>9} {'memory':>8}")
    for workers, threads in _SHAPES:
        argv = [sys.executable, Path(__file__).with_name("herd.py"), workers, threads]
        with tempfile.TemporaryDirectory() as folder, target(argv) as herd:
            report = record(herd.pid, Path(folder) / "rec", seconds=_SECONDS)
            cost = json.loads((Path(folder) / "rec" / "meta.json").read_text())["cost"]
        seconds = report["recording"]["duration_s"]
        # who had no turn yet was not sampled at all
        rates = sorted(w.get("rate_hz", 0) for w in report["workers"] if w["pid"] != herd.pid)
        cpu = (cost["cpu_s"] - cost["attaching_cpu_s"]) / seconds
        attaching_ms = cost["attaching_cpu_s"] / len(report["workers"]) * 1000
        print(
            f"{workers:7} {threads:7} {cpu:7.1%} {attaching_ms:7.0f} ms"
            f" {rates[len(rates) // 2]:6.0f} Hz {cost['peak_rss_mb']:5.0f} MB"
        )
        assert report["findings"] == []


def looks() -> None:
    """What one look at a blocked loop costs, by the number of its tasks; with a late timer, too."""
    print(f"{'python':>10} {'timers':>7}" + "".join(f"{tasks:>9} tasks" for tasks in _CROWDS))
    for version, python in found().items():
        for late in (False, True):
            costs_ms = [_look_ms(python, tasks, late=late) for tasks in _CROWDS]
            print(f"{version:>10} {'late' if late else 'none':>7}{_in_ms(costs_ms)}")
    print("\nwho holds what a hundred of them wait for: the first look, and those after it")
    for version, python in found().items():
        both = zip(*(_held_ms(python, tasks) for tasks in _CROWDS), strict=True)
        for name, each_ms in zip(("first", "later"), both, strict=True):
            print(f"{version:>10} {name:>7}{_in_ms(each_ms)}")


def _in_ms(costs_ms: Iterable[float]) -> str:
    return "".join(f"{cost_ms:12.1f} ms" for cost_ms in costs_ms)


def _look_ms(python: str, tasks: int, *, late: bool) -> float:
    crowd_py = Path(__file__).with_name("crowd.py")
    with target([python, crowd_py, tasks, "late" if late else "none", 0]) as crowd:
        reader = Reader(crowd.pid)
        (loop,) = reader.loops()
        assert loop.pending == tasks + 1 + late
        if late:
            time.sleep(0.1)  # now it is
        taken = [reader.whole_snapshot(loop) for _ in range(_LOOKS)]
        assert all(one is not None and _overdue(one) == late for one in taken)
    return statistics.median(one.cost_s * 1000 for one in taken if one is not None)


def _held_ms(python: str, tasks: int) -> tuple[float, float]:
    crowd_py = Path(__file__).with_name("crowd.py")
    taken: list[float] = []
    waiters = min(tasks - 1, _WAITERS)
    with target([python, crowd_py, tasks, "none", waiters]) as crowd:
        reader = Reader(crowd.pid)
        reader.imports_asyncio()
        known: set[int] = set()
        for _ in range(_LOOKS):
            began_s = time.thread_time()
            (look,) = reader.tasks_looks(known, _ENOUGH_NS)
            known = {task.task for task in look.tasks}
            (held,) = reader.held_by_tasks(look.loop, look.tasks, known, _ENOUGH_NS) or (None,)
            taken.append((time.thread_time() - began_s) * 1000)
            assert held is not None
            assert (len(held.waiters), len(held.holders)) == (waiters, 1)
    return taken[0], statistics.median(taken[1:])


def _overdue(look: LoopSnapshot) -> int:
    return look.timers.overdue if look.timers else 0


main()
