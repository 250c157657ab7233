"""The py-spy sampler: overlapping ``py-spy record`` runs, and single ``py-spy dump``s.

py-spy writes its trace only when it ends, so a worker is recorded in segments of at most
``SEGMENT_NS``; the next one starts ``OVERLAP_NS`` before the last one ends.

Clock. A trace counts microseconds from an ``Instant::now()`` (CLOCK_MONOTONIC) that py-spy 0.4.3
takes when it makes its trace writer, before it attaches: 1 to 6 ms after exec, 2.5 ms in the
median. Time zero of a segment is therefore taken as the end of exec plus ``ZERO_NS``. The error is
that of one such start; a live test bounds it against a target that prints its own times.
"""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from profiler.model import NS, Loss
from profiler.samplers import DumpResult, SamplerStatus, SegmentRow
from profiler.samplers.child import Child
from profiler.samplers.pyspy_binary import find_pyspy

SEGMENT_NS = 20 * NS
OVERLAP_NS = 1_500_000_000
ZERO_NS = 2_500_000
_GIVE_UP_AFTER = 5
_RETRY_NS = 100_000_000  # doubled with each failure
_LASTED_NS = NS  # a run that fails sooner has lost nothing worth telling
_WROTE = re.compile(r"Samples: (\d+) Errors: (\d+)")


@dataclass
class _Run:
    """One py-spy record process."""

    row: SegmentRow
    child: Child
    log: IO[bytes]
    asked_to_end: bool = False


class PySpySampler:
    """Samples one worker; see ``Sampler`` for the contract."""

    def __init__(self, pid: int, folder: str, *, blocking: bool = False) -> None:
        self.pid = pid
        self.segments: list[SegmentRow] = []
        self._binary = find_pyspy()
        self._folder = folder
        self._mode: Sequence[str] = () if blocking else ("--nonblocking",)
        self._runs: list[_Run] = []
        self._dump: tuple[Child, IO[bytes], int] | None = None
        self._stopping = False
        self._failures = 0
        self._retry_at_ns = 0
        self._spent_ns = 0

    def step(self, now_ns: int, rate_hz: float) -> SamplerStatus:
        """See ``Sampler.step``."""
        status = SamplerStatus()
        for run in list(self._runs):
            code = run.child.poll()
            if code is not None:
                self._runs.remove(run)
                self._finish(run, code, now_ns, status)
        self._reap_dump(status)
        if self._stopping or self._failures >= _GIVE_UP_AFTER:
            return status
        newest = self._runs[-1] if self._runs else None
        age_ns = now_ns - newest.row.zero_ns if newest else 0
        too_fast = newest is not None and rate_hz < newest.row.rate_hz / 2 and age_ns > NS
        if newest is None and now_ns < self._retry_at_ns:
            return status
        if newest is None or age_ns > SEGMENT_NS - OVERLAP_NS or too_fast:
            self._start(rate_hz)
        for run in self._runs[:-1]:
            if not run.asked_to_end and self._runs[-1].row.zero_ns + OVERLAP_NS < now_ns:
                run.asked_to_end = True
                run.child.signal(signal.SIGINT)
        return status

    def dump(self, now_ns: int) -> None:
        """See ``Sampler.dump``."""
        if self._dump is not None or self._stopping:
            return
        output = tempfile.TemporaryFile()  # noqa: SIM115  (lives until the dump is reaped)
        argv = [self._binary, "dump", "--json", "--full-filenames", *self._mode]
        self._dump = Child([*argv, "--pid", str(self.pid)], output, output), output, now_ns

    def stop(self, now_ns: int) -> None:
        """See ``Sampler.stop``."""
        del now_ns
        self._stopping = True
        for run in self._runs:
            if not run.asked_to_end:
                run.asked_to_end = True
                run.child.signal(signal.SIGINT)

    def kill(self) -> None:
        """See ``Sampler.kill``."""
        self._stopping = True
        for child in [run.child for run in self._runs] + ([self._dump[0]] if self._dump else []):
            child.signal(signal.SIGKILL)

    @property
    def done(self) -> bool:
        """See ``Sampler.done``."""
        return not self._runs and self._dump is None

    def cpu_ns(self) -> int:
        """See ``Sampler.cpu_ns``."""
        live = sum(run.child.cpu_ns() for run in self._runs)
        return self._spent_ns + live + (self._dump[0].cpu_ns() if self._dump else 0)

    def rss_bytes(self) -> int:
        """See ``Sampler.rss_bytes``."""
        return sum(run.child.rss_bytes() for run in self._runs)

    def _start(self, rate_hz: float) -> None:
        n = len(self.segments)
        rate = max(1, round(rate_hz))
        name = f"{self.pid}-{n}.trace.json"
        argv = [
            self._binary, "record", "--format", "chrometrace", "--idle", "--threads",
            "--full-filenames", *self._mode, "--rate", str(rate), "--pid", str(self.pid),
            "--output", os.path.join(self._folder, name),
        ]  # fmt: skip
        log = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the run)
        child = Child(argv, log, log)
        row = SegmentRow(self.pid, n, name, child.started_ns + ZERO_NS, rate)
        self.segments.append(row)
        self._runs.append(_Run(row, child, log))

    def _finish(self, run: _Run, code: int, now_ns: int, status: SamplerStatus) -> None:
        row = run.row
        row.end_ns = now_ns
        self._spent_ns += run.child.cpu_ns()
        run.log.seek(0)
        said = run.log.read().decode("utf-8", "replace")
        run.log.close()
        wrote = _WROTE.search(said)
        if wrote:
            # One per thread and tick; what it could not read counts as an error.
            row.samples, row.errors = int(wrote[1]), int(wrote[2])
            self._failures = 0
        else:
            # A process that is only starting is not readable yet: try again a little later.
            self._failures += 1
            self._retry_at_ns = now_ns + _RETRY_NS * 2**self._failures
            row.why = _why(code, said)
            length_ns = now_ns - row.zero_ns
            gave_up = self._failures >= _GIVE_UP_AFTER
            if gave_up or self._stopping or length_ns > _LASTED_NS:
                what = f"{length_ns / NS:.1f} s of stacks of pid {self.pid}"
                if gave_up:
                    what = f"stacks of pid {self.pid}"
                remedy = "try 'waitspy doctor' on this process" if gave_up else "sampling went on"
                status.losses.append(Loss(what, row.why, remedy, self.pid))
        status.finished.append(row)

    def _reap_dump(self, status: SamplerStatus) -> None:
        if self._dump is None or self._dump[0].poll() is None:
            return
        child, output, at_ns = self._dump
        self._dump = None
        self._spent_ns += child.cpu_ns()
        with output:
            output.seek(0)
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                status.dumps.append(_read_dump(output.read(), at_ns))


def _read_dump(raw: bytes, at_ns: int) -> DumpResult:
    stacks: dict[int, list[tuple[str, str, int | None]]] = {}
    gil_tid = None
    threads = json.loads(raw.decode("utf-8", "replace"))
    pthreads = any(thread["os_thread_id"] is None for thread in threads)
    for thread in threads:
        tid = int(thread["thread_id" if pthreads else "os_thread_id"])
        frames = reversed(thread["frames"])
        stacks[tid] = [(f["name"], f["filename"], f["line"] or None) for f in frames]
        if thread.get("owns_gil"):
            gil_tid = tid
    return DumpResult(at_ns, stacks, gil_tid, pthreads)


def _why(code: int, said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("Error:", "Reason:"))]
    if errors:
        return "py-spy: " + "; ".join(line.split(":", 1)[1].strip() for line in errors)
    if code < 0:
        return f"py-spy was killed by {signal.Signals(-code).name}"
    return f"py-spy ended with code {code}" + (f": {lines[-1]}" if lines else "")
