"""What profilers cost beside each other: on threads of which one works, and on idle processes.

The profilers take turns on one target, and so do seconds without any, so that what else the machine
does falls on all; medians are told. Each is looked at from outside, from some moments after it was
started: what attaching takes is left out. ``rate`` is how often each thread's stack was taken, as
far as that is told, ``speed`` that of the thread that works, against its own without a profiler.
waitspy reads victims as well, the others only stacks.

Which of them run depends on the machine: CPython's own sampler is for 3.15 alone, and ``austin`` is
taken from beside this Python, or from the PATH.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from tests import pythons
from tests.live.running import WAITSPY, Target, read_report, target
from waitspy.samplers.pyspy_binary import find_pyspy

_ROUNDS = 3
_SETTLES_S = 2.0
_SECONDS = 5.0
_ENDS_S = 60.0
_HZ = "100"
_WORKING = ((1, 2), (1, 25), (50, 2), (50, 25), (200, 2), (200, 25))
"""Threads of which one works, and frames of each of the others."""

_IDLE = ((8, 10), (32, 2))
"""Processes, and threads of each."""


class _Taken(NamedTuple):
    """What a profiler has left: its last words, its file, from how many threads in what time."""

    said: str
    out: Path
    threads: int
    seconds: float


@dataclass(frozen=True)
class _Profiler:
    """A command that profiles PID into OUT until it is interrupted."""

    name: str
    argv: tuple[str, ...]
    rate_hz: Callable[[_Taken], float | None] = lambda _: None

    def command(self, pid: int, out: Path) -> list[str]:
        names = {"PID": str(pid), "OUT": str(out)}
        return [names.get(part, part) for part in self.argv]


class _Run(NamedTuple):
    cpu: float | None
    rate_hz: float | None
    speed: float | None
    pause_s: float | None


def _profilers(version: str, python: str) -> Iterator[_Profiler]:
    """Those that can profile a target on this interpreter."""
    common = ("-r", _HZ, "-o", "OUT")
    yield _Profiler("waitspy", (*WAITSPY, "record", *common, "PID"), _in_report)
    if version.startswith("3.15."):
        own = (python, "-m", "profiling.sampling", "attach", "--all-threads", "--subprocesses")
        yield _Profiler("3.15's own", (*own, "--collapsed", *common, "PID"), _in_words)
        return
    argv = (*WAITSPY, "record", "--sampler", "py-spy", *common, "PID")
    yield _Profiler("waitspy, by py-spy", argv, _in_report)
    options = ("record", "--nonblocking", "--idle", "--subprocesses", "--format", "raw")
    yield _Profiler("py-spy", (find_pyspy(), *options, *common, "-p", "PID"), _in_stacks)
    austin = shutil.which("austin", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if austin is not None:
        yield _Profiler("austin", (austin, "-C", "-i", "10ms", "-o", "OUT", "-p", "PID"))


def _in_report(taken: _Taken) -> float | None:
    rates = [w["rate_hz"] for w in read_report(taken.out)["workers"] if "rate_hz" in w]
    return statistics.median(rates) if rates else None


def _in_words(taken: _Taken) -> float | None:
    """``Sample rate: 99.96 samples/sec``, of the last process that said so."""
    found = re.findall(r"Sample rate: ([\d.]+)", taken.said)
    return float(found[-1]) if found else None


def _in_stacks(taken: _Taken) -> float | None:
    """Lines like ``main;work;step 17``."""
    counts = [int(line.rpartition(" ")[2]) for line in taken.out.read_text().splitlines()]
    return sum(counts) / taken.threads / taken.seconds


def main() -> None:
    """One line for each target and profiler."""
    # who runs in the background ignores interrupts, and so would all that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(
        f"{'target':>20} {'Python':>8} {'profiler':>18} {'CPU':>7} {'rate':>9} {'speed':>6} {'pause':>8}"
    )
    here = f"{sys.version_info[0]}.{sys.version_info[1]}."
    for version, python in pythons.found().items():
        if not version.startswith((here, "3.15.")):
            continue
        for threads, depth in _WORKING:
            argv = [python, Path(__file__).with_name("deep_threads.py"), threads, depth]
            with target(argv) as process:
                runs = _in_turns(process, [*_profilers(version, python)], threads, works=True)
            _tell(f"{threads} threads, {depth} deep", version, runs)
        for processes, threads in _IDLE:
            argv = [python, Path(__file__).with_name("herd.py"), processes, threads]
            with target(argv) as process:
                count = processes * threads + 1
                runs = _in_turns(process, [*_profilers(version, python)], count, works=False)
            _tell(f"{processes} x {threads}, idle", version, runs)


def _tell(name: str, version: str, runs: dict[str, list[_Run]]) -> None:
    for profiler, done in runs.items():
        if not done:
            continue
        columns = (
            _median("{:.1%}", [run.cpu for run in done]),
            _median("{:.0f} Hz", [run.rate_hz for run in done]),
            _median("{:.2f}", [run.speed for run in done]),
            _median("{:.1f} ms", [run.pause_s and run.pause_s * 1000 for run in done]),
        )
        cpu, rate, speed, pause = columns
        line = f"{name:>20} {version:>8} {profiler:>18} {cpu:>7} {rate:>9} {speed:>6} {pause:>8}"
        print(line, flush=True)


def _median(text: str, values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return text.format(statistics.median(known)) if known else "-"


def _in_turns(
    process: Target, profilers: Sequence[_Profiler], threads: int, *, works: bool
) -> dict[str, list[_Run]]:
    runs: dict[str, list[_Run]] = {name: [] for name in ("-", *(one.name for one in profilers))}
    steps = _Steps(process) if works else None
    for _ in range(_ROUNDS):
        begun_s = time.monotonic()
        time.sleep(_SECONDS)
        alone = steps.a_second_since(begun_s) if steps else None
        if steps:
            runs["-"].append(_Run(None, None, 1.0, steps.pause_s_since(begun_s)))
        for profiler in profilers:
            runs[profiler.name].append(_run(profiler, process.pid, threads, steps, alone))
    return runs


def _run(
    profiler: _Profiler, pid: int, threads: int, steps: _Steps | None, alone: float | None
) -> _Run:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        argv = profiler.command(pid, out)
        began_s = time.monotonic()
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        ) as started:
            time.sleep(_SETTLES_S)
            begun_s, before_s = time.monotonic(), _cpu_s(started.pid)
            time.sleep(_SECONDS)
            cpu = (_cpu_s(started.pid) - before_s) / (time.monotonic() - begun_s)
            speed = steps.a_second_since(begun_s) / alone if steps and alone else None
            pause_s = steps.pause_s_since(begun_s) if steps else None
            started.send_signal(signal.SIGINT)
            try:
                said, _ = started.communicate(timeout=_ENDS_S)
            finally:
                started.kill()
        lasted_s = time.monotonic() - began_s
        rate_hz = profiler.rate_hz(_Taken(said.decode(errors="replace"), out, threads, lasted_s))
    return _Run(cpu, rate_hz, speed, pause_s)


def _cpu_s(pid: int) -> float:
    """CPU time of a process and of all that it has started, whether they have ended or not."""
    process = psutil.Process(pid)
    used_s = 0.0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            used_s += sum(one.cpu_times()[:4])
    return used_s


class _Steps:
    """How far the thread that works has come, as it says."""

    def __init__(self, process: Target) -> None:
        self._said: list[tuple[float, int, float]] = []
        self._lines = process.process.stdout
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._lines is not None
        for line in self._lines:
            self._said.append(tuple(json.loads(line)))

    def a_second_since(self, begin_s: float) -> float:
        """Steps a second since that moment."""
        said = self._since(begin_s)
        return (said[-1][1] - said[0][1]) / (said[-1][0] - said[0][0])

    def pause_s_since(self, begin_s: float) -> float:
        """The longest round in a quarter of a second since then, in the median of these."""
        return statistics.median(longest_s for _, _, longest_s in self._since(begin_s)[1:])

    def _since(self, begin_s: float) -> list[tuple[float, int, float]]:
        return [one for one in self._said if begin_s <= one[0]]


if __name__ == "__main__":
    main()
