"""The py-spy sampler: overlapping ``py-spy record`` runs, and single ``py-spy dump``s.

py-spy writes its trace only when it ends, so a worker is recorded in segments of at most
``SEGMENT_NS``; the next one starts ``OVERLAP_NS`` before the last one ends. A run that fails is
followed by another: a process that is only starting cannot be read yet, and whatever else kills a
py-spy takes its own segment with it and no more.

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
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from waitspy.model.clock import NS
from waitspy.model.recorded import Loss
from waitspy.model.stacks import Frame, Stack
from waitspy.recording.dumps import DumpRow
from waitspy.samplers import SamplerStatus, SegmentRow
from waitspy.samplers.child import Child
from waitspy.samplers.pyspy_binary import find_pyspy

SEGMENT_NS = 20 * NS
OVERLAP_NS = 1_500_000_000
ZERO_NS = 2_500_000
_TELL_AFTER = 5  # failures in a row that are a loss even though each was short
_RETRY_NS = 100_000_000  # doubled with each failure
_SLOWEST_RETRY_NS = 10 * NS
_ENDED_NS = 300_000_000
_LASTED_NS = NS  # a run that fails sooner has lost nothing worth telling
_WRITE_WITHIN_NS = 15 * NS
_DUMP_WITHIN_NS = 5 * NS
_OUTLIVES_S = 60  # how long a run goes on that nobody ends: waitspy was killed as it started it
_WROTE = re.compile(r"Samples: (\d+) Errors: (\d+)")
_WENT_ON = "sampling went on"
_TOO_SHORT = "py-spy had not attached yet when the recording ended"


@dataclass
class _Run:
    """One py-spy record process."""

    row: SegmentRow
    child: Child
    log: IO[bytes]
    asked_at_ns: int | None = None

    def ask_to_end(self, now_ns: int) -> None:
        if self.asked_at_ns is None:
            self.asked_at_ns = now_ns
            self.child.signal(signal.SIGINT)


class PySpySampler:
    """Samples one worker; see ``Sampler`` for the contract.

    ``overlap_ns`` must be longer than py-spy takes to attach (40 to 60 ms, more on a busy
    machine), and shorter than ``segment_ns``. ``first_segment`` is the number of the first one.

    Raises:
        SamplerError: there is no py-spy.
    """

    def __init__(
        self,
        pid: int,
        folder: str,
        *,
        blocking: bool = False,
        segment_ns: int = SEGMENT_NS,
        overlap_ns: int = OVERLAP_NS,
        first_segment: int = 0,
    ) -> None:
        self.pid = pid
        self._first_segment = first_segment
        self.segments: list[SegmentRow] = []
        self._binary = find_pyspy()
        self._folder = folder
        self._mode: Sequence[str] = () if blocking else ("--nonblocking",)
        self._segment_ns = segment_ns
        self._overlap_ns = overlap_ns
        self._runs: list[_Run] = []
        self._dump: tuple[Child, IO[bytes], int] | None = None
        self._stopping = False
        self._killed = False
        self._failures = 0
        self._untold: Loss | None = None
        self._failed_dumps: list[str] = []
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
            elif run.asked_at_ns is not None and now_ns - run.asked_at_ns > _WRITE_WITHIN_NS:
                run.child.signal(signal.SIGKILL)
        self._reap_dump(now_ns, status)
        if self._stopping:
            if not self._runs and self._dump is None:
                self._tell_rest(status)
            return status
        newest = self._runs[-1] if self._runs else None
        age_ns = now_ns - newest.row.zero_ns if newest else 0
        due = newest is None or age_ns > self._segment_ns - self._overlap_ns
        if newest is not None:
            # The first rate is chosen before the cost of a sample was measured.
            too_fast = rate_hz < newest.row.rate_hz / 2 and age_ns > NS
            too_slow = rate_hz > newest.row.rate_hz * 2 and age_ns > 2 * NS
            due = due or too_fast or too_slow
        if due and now_ns >= self._retry_at_ns:
            self._start(now_ns, rate_hz, status)
        for run in self._runs[:-1]:
            if self._runs[-1].row.zero_ns + self._overlap_ns < now_ns:
                run.ask_to_end(now_ns)
        return status

    def dump(self, now_ns: int) -> None:
        """See ``Sampler.dump``."""
        if self._dump is not None or self._stopping:
            return
        output = _scratch()
        argv = [self._binary, "dump", "--json", "--full-filenames", *self._mode]
        try:
            child = Child([*argv, "--pid", str(self.pid)], output, output)
        except (OSError, subprocess.SubprocessError) as error:
            output.close()
            self._failed_dumps.append(_not_started(error))
            return
        self._dump = child, output, now_ns

    def stop(self, now_ns: int) -> None:
        """See ``Sampler.stop``."""
        self._stopping = True
        for run in self._runs:
            run.ask_to_end(now_ns)

    def kill(self) -> None:
        """See ``Sampler.kill``."""
        self._stopping = self._killed = True
        for child in [run.child for run in self._runs] + ([self._dump[0]] if self._dump else []):
            child.signal(signal.SIGKILL)

    @property
    def done(self) -> bool:
        """See ``Sampler.done``."""
        told = not self._stopping or (self._untold is None and not self._failed_dumps)
        return not self._runs and self._dump is None and told

    def cpu_ns(self) -> int:
        """See ``Sampler.cpu_ns``."""
        live = sum(run.child.cpu_ns() for run in self._runs)
        return self._spent_ns + live + (self._dump[0].cpu_ns() if self._dump else 0)

    def rss_bytes(self) -> int:
        """See ``Sampler.rss_bytes``."""
        return sum(run.child.rss_bytes() for run in self._runs)

    def _start(self, now_ns: int, rate_hz: float, status: SamplerStatus) -> None:
        n = self._first_segment + len(self.segments)
        rate = max(1, round(rate_hz))
        name = f"{self.pid}-{n}.trace.json"
        argv = [
            self._binary, "record", "--format", "chrometrace", "--idle", "--threads",
            "--full-filenames", *self._mode, "--rate", str(rate), "--pid", str(self.pid),
            "--duration", str(self._segment_ns // NS + _OUTLIVES_S),
            "--output", os.path.join(self._folder, name),
        ]  # fmt: skip
        log = _scratch()
        try:
            child = Child(argv, log, log)
        except (OSError, subprocess.SubprocessError) as error:
            log.close()
            self._failed(_not_started(error), 0, now_ns, status)
            return
        row = SegmentRow(self.pid, n, name, child.started_ns + ZERO_NS, rate)
        self.segments.append(row)
        self._runs.append(_Run(row, child, log))

    def _finish(self, run: _Run, code: int, now_ns: int, status: SamplerStatus) -> None:
        row = run.row
        row.end_ns = now_ns
        self._spent_ns += run.child.cpu_ns()
        with run.log:
            run.log.seek(0)
            said = run.log.read().decode("utf-8", "replace")
        if code == 0 and os.path.exists(os.path.join(self._folder, row.file)):
            if wrote := _WROTE.search(said):
                # One per thread and tick; what it could not read counts as an error.
                row.samples, row.errors = int(wrote[1]), int(wrote[2])
            self._failures = 0
            self._untold = None
            if run.asked_at_ns is None:  # its process has ended: the capture will soon know
                self._retry_at_ns = now_ns + _ENDED_NS
        else:
            row.why = self._why(run, code, said)
            self._failed(row.why, now_ns - row.zero_ns, now_ns, status)
        status.finished.append(row)

    def _why(self, run: _Run, code: int, said: str) -> str:
        if self._killed:
            return "py-spy was killed before it could write"
        if run.asked_at_ns is not None and code == -signal.SIGINT:
            return _TOO_SHORT
        return _why(code, said)

    def _failed(self, why: str, length_ns: int, now_ns: int, status: SamplerStatus) -> None:
        self._failures += 1
        self._retry_at_ns = now_ns + min(_SLOWEST_RETRY_NS, _RETRY_NS * 2**self._failures)
        remedy = "interrupt once, and give it the time to write" if self._killed else _WENT_ON
        if length_ns > _LASTED_NS:
            what = f"{length_ns / NS:.1f} s of stacks"
            status.losses.append(Loss(what, why, remedy, self.pid))
            return
        what = "stacks"
        if why == _TOO_SHORT:
            remedy = "record for longer"
        elif not self._killed:
            remedy = "try 'waitspy doctor' on this process"
        self._untold = Loss(what, why, remedy, self.pid)
        if self._failures == _TELL_AFTER:
            status.losses.append(self._untold)
        if self._failures >= _TELL_AFTER:
            self._untold = None

    def _reap_dump(self, now_ns: int, status: SamplerStatus) -> None:
        if self._dump is None:
            return
        child, output, at_ns = self._dump
        code = child.poll()
        if code is None:
            if now_ns - at_ns > _DUMP_WITHIN_NS:
                child.signal(signal.SIGKILL)
            return
        self._dump = None
        self._spent_ns += child.cpu_ns()
        with output:
            output.seek(0)
            raw = output.read()
        try:
            status.dumps.append(_read_dump(raw, at_ns))
        except (ValueError, KeyError, TypeError, AttributeError):
            if not self._killed:
                self._failed_dumps.append(_why(code, raw.decode("utf-8", "replace")))

    def _tell_rest(self, status: SamplerStatus) -> None:
        """What was lost, but would not have been worth telling had it gone on."""
        if self._untold is not None:
            status.losses.append(self._untold)
        if self._failed_dumps:
            count, why = len(self._failed_dumps), self._failed_dumps[-1]
            what = f"{count} single looks at the stacks"
            status.losses.append(Loss(what, why, _WENT_ON, self.pid))
        self._untold = None
        self._failed_dumps.clear()


def _scratch() -> IO[bytes]:
    """A nameless file for what a helper says; in memory where possible, as disks fill up."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("py-spy"), "w+b")
    return tempfile.TemporaryFile()


def _read_dump(raw: bytes, at_ns: int) -> DumpRow:
    stacks: dict[int, Stack] = {}
    gil_tid = None
    threads = json.loads(raw.decode("utf-8", "replace"))
    pthreads = any(thread["os_thread_id"] is None for thread in threads)
    for thread in threads:
        tid = int(thread["thread_id" if pthreads else "os_thread_id"])
        frames = reversed(thread["frames"])
        stacks[tid] = tuple(Frame(f["name"], f["filename"], f["line"] or None) for f in frames)
        if thread.get("owns_gil"):
            gil_tid = tid
    return DumpRow(at_ns, stacks, gil_tid)


def _not_started(error: Exception) -> str:
    return f"py-spy cannot be started: {getattr(error, 'strerror', None) or error}"


def _why(code: int, said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("Error:", "Reason:"))]
    if errors:
        return "py-spy: " + "; ".join(line.split(":", 1)[1].strip() for line in errors)
    if code < 0:
        return f"py-spy was killed by {signal.Signals(-code).name}"
    return f"py-spy ended with code {code}" + (f": {lines[-1]}" if lines else "")
