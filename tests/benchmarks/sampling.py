"""What it costs to read stacks, by sampler: many threads, of which one works.

On the same process, seconds with each sampler and without any take turns, so that what else the
machine does falls on all; medians are told. ``speed`` is that of the thread that works, against its
own without a recording.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.live.running import Target, record, target
from waitspy.samplers.registry import SAMPLERS

_ROUNDS = 3
_SECONDS = 5.0
_THREADS = (1, 50, 200)


class _Run(NamedTuple):
    cpu: float
    rate_hz: float
    speed: float


def main() -> None:
    """One line for each number of threads and sampler."""
    print(f"{'threads':>7} {'sampler':>8} {'CPU':>7} {'rate':>9} {'speed':>6}")
    for threads in _THREADS:
        runs: dict[str, list[_Run]] = {}
        argv = [sys.executable, Path(__file__).with_name("deep_threads.py"), threads]
        with target(argv) as process:
            steps = _Steps(process)
            for _ in range(_ROUNDS):
                alone = steps.a_second(lambda: time.sleep(_SECONDS))
                for sampler in SAMPLERS[1:]:
                    runs.setdefault(sampler, []).append(_run(process, steps, sampler, alone))
        for sampler, done in runs.items():
            cpu, rate_hz, speed = map(statistics.median, zip(*done, strict=True))
            print(f"{threads:7} {sampler:>8} {cpu:7.1%} {rate_hz:6.0f} Hz {speed:6.2f}")


def _run(process: Target, steps: _Steps, sampler: str, alone: float) -> _Run:
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        options = (Path(folder) / "rec", "--sampler", sampler)

        def recording() -> None:
            report.update(record(process.pid, *options, seconds=_SECONDS))

        speed = steps.a_second(recording)
        cost = json.loads((Path(folder) / "rec" / "meta.json").read_text())["cost"]
    (worker,) = report["workers"]
    cpu = (cost["cpu_s"] - cost["attaching_cpu_s"]) / report["recording"]["duration_s"]
    return _Run(cpu, worker.get("rate_hz", 0.0), speed / alone)


class _Steps:
    """How far the thread that works has come, as it says."""

    def __init__(self, process: Target) -> None:
        self._said: list[tuple[float, int]] = []
        self._lines = process.process.stdout
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._lines is not None
        for line in self._lines:
            self._said.append(tuple(json.loads(line)))

    def a_second(self, during: Callable[[], None]) -> float:
        """Steps a second while that is done."""
        begin_s = time.monotonic()
        during()
        end_s = time.monotonic()
        said = [one for one in self._said if begin_s <= one[0] <= end_s]
        return (said[-1][1] - said[0][1]) / (said[-1][0] - said[0][0])
