"""The py-spy sampler: ``py-spy record`` runs that relieve each other, and single ``py-spy dump``s.

py-spy writes its trace only when it ends, so a worker is recorded in segments of about
``SEGMENT_NS``; one ends once the next has its first sample. Where the budget has no room for two,
it ends before, and there is a gap. A run that fails is followed by another: a process that is only
starting cannot be read yet, and whatever else kills a py-spy takes its own segment with it and no
more.

A py-spy that did not get the CPU makes up for the samples that it missed, all at once. So to save
CPU time it is not stopped for a while: its segment ends, and a later one has another rate.

Clock. A trace counts microseconds from an ``Instant::now()`` (CLOCK_MONOTONIC) that py-spy 0.4.3
takes when it makes its trace writer, before it attaches: 1 to 6 ms after exec, 2.5 ms in the
median. Time zero of a segment is therefore taken as the end of exec plus ``ZERO_NS``. The error is
that of one such start; a live test bounds it against a target that prints its own times.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import ClassVar

from waitspy.model.clock import NS
from waitspy.model.recorded import Loss
from waitspy.recording.files import TRACE_BYTES
from waitspy.samplers import SamplerStatus, Sampling, SegmentRow, WhoRan
from waitspy.samplers.child import Child
from waitspy.samplers.pyspy_binary import find_pyspy
from waitspy.samplers.pyspy_runs import FIRST_SAMPLE, DumpRun, RecordRun
from waitspy.samplers.pyspy_said import last_words, not_started, read_dump, scratch, size, why

SEGMENT_NS = 20 * NS
START_COST_NS = 10_000_000
"""CPU time that a py-spy uses before it can sample, before one was seen to."""

ZERO_NS = 2_500_000
_DUMP_COST_NS = 10_000_000
_SAMPLE_S = 0.0002
_THREAD_SAMPLE_S = 0.00015
"""py-spy 0.4.3 (--nonblocking --idle) at 100 Hz took 2 to 5 % of a core with 1 thread, 16 % with 50
shallow ones, all of it with 50 deep ones: this is a guess in between."""

_WAITS_FOR_ROOM_NS = 2 * NS  # beyond its time, before a segment ends without a successor
_TOO_LONG_BYTES = 2_000_000
"""Grown by so much, a py-spy has so much to write at its end that it ends sooner: it writes all at
once, for 5 to 10 ms a megabyte. Threads that start and end make it grow."""

_TOO_FAST = 0.75  # of the rate in force: the first one is chosen before a sample was measured
_TELL_AFTER = 5  # failures in a row that are a loss even though each was short
_RETRY_NS = 100_000_000  # doubled with each failure
_SLOWEST_RETRY_NS = 10 * NS
_ENDED_NS = 300_000_000
_WAITED_LONG_NS = NS // 2  # shorter pauses are what every change of segments under a budget has
_LASTED_NS = NS  # a run that fails sooner has lost nothing worth telling
_WRITE_WITHIN_NS = 10 * NS
_DUMP_WITHIN_NS = 5 * NS
_MOST_SAID_BYTES = 1 << 20
_MOST_DUMPED_BYTES = 32 << 20
_OUTLIVES_S = 60  # how long a run goes on that nobody ends: waitspy was killed as it started it
_WROTE = re.compile(r"Samples: (\d+) Errors: (\d+)")
_WENT_ON = "sampling went on"
_NO_SAMPLING = Sampling()
_PAUSED = (
    "sampling paused to stay within the CPU budget",
    "raise --budget, or lower --rate",
)
_SMEARED = (
    "one sample of all its threads takes longer than what it would show is true",
    "go by the findings: where something waits, single stacks were read at once",
)
_SAYS_TOO_MUCH = "py-spy wrote messages without end"
_TOO_SHORT = "py-spy had not attached yet when the recording ended"


class PySpySampler:
    """Samples one worker; see ``Sampler`` for the contract.

    ``segment_ns`` must be longer than py-spy takes to attach (40 to 60 ms, more on a busy
    machine). ``first_segment`` is the number of the first one. ``may_spend`` says whether there is
    room in the budget for so many nanoseconds of CPU time, which then count as spent.

    Raises:
        SamplerError: there is no py-spy.
    """

    immediate: ClassVar[bool] = False

    def __init__(
        self,
        pid: int,
        folder: str,
        *,
        keep: Sequence[int] = (),
        blocking: bool = False,
        segment_ns: int = SEGMENT_NS,
        first_segment: int = 0,
        may_spend: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self.pid = pid
        self._first_segment = first_segment
        self.segments: list[SegmentRow] = []
        self._binary = find_pyspy()
        self._folder = folder
        self._keep = keep
        self._mode: Sequence[str] = () if blocking else ("--nonblocking",)
        self._segment_ns = segment_ns
        self._may_spend = may_spend
        self._runs: list[RecordRun] = []
        self._dump: DumpRun | None = None
        self._stopping = False
        self._killed = False
        self._failures = 0
        self._ended = 0  # runs in a row, by themselves, with a file
        self._missed_ns = 0
        self._missed_why = ""
        self._untold: Loss | None = None
        self._failed_dumps: list[str] = []
        self._retry_at_ns = 0
        self._spent_ns = 0
        self._start_cost_ns = START_COST_NS
        self._sampling = _NO_SAMPLING
        self._waiting_since_ns: int | None = None
        self._waited_ns = 0
        self._why_none = _PAUSED

    def cost_s(self, threads: int) -> float:
        """See ``Sampler.cost_s``."""
        return _SAMPLE_S + _THREAD_SAMPLE_S * max(1, threads)

    def look(self, seen: WhoRan, now_ns: int, *, at_once: bool = False) -> bool:  # noqa: ARG002
        """See ``Sampler.look``: py-spy samples in its own time."""
        return False

    def step(self, now_ns: int, rate_hz: float) -> SamplerStatus:
        """See ``Sampler.step``."""
        status = SamplerStatus()
        for run in list(self._runs):
            code = run.child.poll()
            if code is not None:
                self._runs.remove(run)
                self._finish(run, code, now_ns, status)
            elif run.asked_at_ns is not None and now_ns - run.asked_at_ns > _WRITE_WITHIN_NS:
                run.kill(f"py-spy did not write within {_WRITE_WITHIN_NS // NS} s")
            elif size(run.log) > _MOST_SAID_BYTES:
                run.kill(_SAYS_TOO_MUCH)
            else:
                run.look(now_ns)
                if run.ready is not None:
                    self._start_cost_ns = max(self._start_cost_ns, run.ready[1])
        self._reap_dump(now_ns, status)
        if self._stopping:
            if not self._runs and self._dump is None:
                self._tell_rest(status)
            return status
        going_on = [run for run in self._runs if run.asked_at_ns is None]
        if not going_on:
            if now_ns >= self._retry_at_ns:
                self._start_with_room(now_ns, rate_hz, status)
        elif len(going_on) == 1:
            self._relieve(going_on[0], now_ns, rate_hz, status)
        elif going_on[-1].has_sampled(now_ns):
            going_on[0].ask_to_end(now_ns)
        return status

    def _start_with_room(self, now_ns: int, rate_hz: float, status: SamplerStatus) -> None:
        if self._waiting_since_ns is None:
            self._waiting_since_ns = now_ns
        if rate_hz <= 0:
            self._why_none = _SMEARED
        elif self._may_spend(self._start_cost_ns):
            self._waited_ns += now_ns - self._waiting_since_ns
            self._waiting_since_ns = None
            self._start(now_ns, rate_hz, status)

    def _relieve(self, run: RecordRun, now_ns: int, rate_hz: float, status: SamplerStatus) -> None:
        """Starts a run's successor when it is time, or ends it where there is no room for both."""
        if rate_hz <= 0:
            self.pause(now_ns)
            return
        age_ns = now_ns - run.row.zero_ns
        too_fast = rate_hz < run.row.rate_hz * _TOO_FAST and age_ns > NS
        too_slow = rate_hz > run.row.rate_hz * 2 and age_ns > 2 * NS
        too_long = run.grown_bytes > _TOO_LONG_BYTES
        late_ns = age_ns - self._segment_ns
        due = too_fast or too_slow or too_long or late_ns > 0
        if not due or now_ns < self._retry_at_ns:
            return
        both_sample_ns = int(FIRST_SAMPLE * run.sampling.cpu_ns / max(1.0, run.sampling.samples))
        if self._may_spend(self._start_cost_ns + both_sample_ns):
            self._start(now_ns, rate_hz, status)
        elif run.ready is not None and (too_fast or too_long or late_ns > _WAITS_FOR_ROOM_NS):
            run.ask_to_end(now_ns)

    def pause(self, now_ns: int) -> None:
        """See ``Sampler.pause``."""
        for run in self._runs:
            # Before it is ready it would die of it, and have cost its start for nothing.
            if run.ready is not None:
                run.ask_to_end(now_ns)

    def dump(self, now_ns: int) -> bool:
        """See ``Sampler.dump``."""
        if self._dump is not None or self._stopping or not self._may_spend(_DUMP_COST_NS):
            return False
        output = scratch()
        argv = [self._binary, "dump", "--json", "--full-filenames", *self._mode]
        try:
            child = Child([*argv, "--pid", str(self.pid)], output, output)
        except OSError as error:
            output.close()
            self._failed_dumps.append(not_started(error))
            return False
        self._dump = DumpRun(child, output, now_ns)
        return True

    def stop(self, now_ns: int) -> None:
        """See ``Sampler.stop``."""
        if self._waiting_since_ns is not None:
            self._waited_ns += now_ns - self._waiting_since_ns
            self._waiting_since_ns = None
        self._stopping = True
        for run in self._runs:
            run.ask_to_end(now_ns)

    def kill(self) -> None:
        """See ``Sampler.kill``."""
        self._stopping = self._killed = True
        for child in [run.child for run in self._runs] + ([self._dump.child] if self._dump else []):
            child.signal(signal.SIGKILL)

    @property
    def done(self) -> bool:
        """See ``Sampler.done``."""
        untold = self._untold or self._missed_ns or self._failed_dumps or self._waited_ns
        told = not self._stopping or not untold
        return not self._runs and self._dump is None and told

    def cpu_ns(self) -> int:
        """See ``Sampler.cpu_ns``."""
        live = sum(run.child.cpu_ns() for run in self._runs)
        return self._spent_ns + live + (self._dump.child.cpu_ns() if self._dump else 0)

    def sampling(self) -> Sampling:
        """See ``Sampler.sampling``."""
        every = (self._sampling, *(run.sampling for run in self._runs))
        return Sampling(sum(one.cpu_ns for one in every), sum(one.samples for one in every))

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
        log = scratch()
        try:
            child = Child(argv, log, log, can_wait=True, keep=self._keep)
        except OSError as error:
            log.close()
            self._failed(not_started(error), 0, now_ns, status)
            return
        row = SegmentRow(self.pid, n, name, child.started_ns + ZERO_NS, rate)
        self.segments.append(row)
        self._runs.append(RecordRun(row, child, log))

    def _finish(self, run: RecordRun, code: int, now_ns: int, status: SamplerStatus) -> None:
        row = run.row
        row.end_ns = now_ns
        if run.sampling.samples:
            row.sample_ns = int(run.sampling.cpu_ns / run.sampling.samples)
        self._spent_ns += run.child.cpu_ns()
        self._sampling = Sampling(
            self._sampling.cpu_ns + run.sampling.cpu_ns,
            self._sampling.samples + run.sampling.samples,
        )
        with run.log:
            said = last_words(run.log)
            if code < 0 and size(run.log) > _MOST_SAID_BYTES:  # the kernel was faster
                run.killed_for = _SAYS_TOO_MUCH
        path = os.path.join(self._folder, row.file)
        if code == 0 and os.path.lexists(path):
            if wrote := _WROTE.search(said):
                # One per thread and tick; what it could not read counts as an error.
                row.samples, row.errors = int(wrote[1]), int(wrote[2])
            self._failures = 0
            self._untold = None
            if run.asked_at_ns is None:  # its process has ended: the capture will soon know
                self._retry_at_ns = now_ns + min(_SLOWEST_RETRY_NS, _ENDED_NS * 2**self._ended)
                self._ended += 1
            else:
                self._ended = 0
        else:
            row.why = self._why(run, code, said)
            length_ns = (run.asked_at_ns or now_ns) - row.zero_ns
            self._failed(row.why, length_ns, now_ns, status)
            if run.ready is not None and length_ns <= _LASTED_NS:
                self._missed_ns += length_ns + self._retry_at_ns - now_ns
                self._missed_why = row.why
            with suppress(OSError):
                if os.lstat(path).st_size >= TRACE_BYTES:
                    os.unlink(path)  # nobody could read it
        status.finished.append(row)

    def _why(self, run: RecordRun, code: int, said: str) -> str:
        if self._killed:
            return "py-spy was killed before it could write"
        if run.killed_for is not None and code < 0:
            return run.killed_for
        if run.asked_at_ns is not None and code == -signal.SIGINT:
            return _TOO_SHORT
        return why(code, said)

    def _failed(self, why: str, length_ns: int, now_ns: int, status: SamplerStatus) -> None:
        self._failures += 1
        self._retry_at_ns = now_ns + min(_SLOWEST_RETRY_NS, _RETRY_NS * 2**self._failures)
        remedy = _WENT_ON
        if self._stopping:
            remedy = "record again, and let py-spy run to its end"
        if self._killed:
            remedy = "interrupt once, and give it the time to write"
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
        look = self._dump
        if look is None:
            return
        code = look.child.poll()
        if code is None:
            if now_ns - look.at_ns > _DUMP_WITHIN_NS:
                look.kill(f"py-spy did not answer within {_DUMP_WITHIN_NS // NS} s")
            elif size(look.output) > _MOST_DUMPED_BYTES:
                look.kill(_SAYS_TOO_MUCH)
            return
        self._dump = None
        self._spent_ns += look.child.cpu_ns()
        with look.output:
            said = last_words(look.output)
            if code < 0 and size(look.output) > _MOST_DUMPED_BYTES:
                look.killed_for = _SAYS_TOO_MUCH
            look.output.seek(0)
            raw = look.output.read(_MOST_DUMPED_BYTES)
        try:
            # now, as this look began long ago where there are many workers
            status.dumps.append(read_dump(raw, look.at_ns, time.monotonic_ns()))
        except (ValueError, KeyError, TypeError, AttributeError):
            if not self._killed:
                self._failed_dumps.append(look.killed_for or why(code, said))

    def _tell_rest(self, status: SamplerStatus) -> None:
        """What was lost, but would not have been worth telling had it gone on."""
        if self._untold is not None:
            status.losses.append(self._untold)
        elif self._missed_ns > _LASTED_NS and not self._failures:
            what = f"{self._missed_ns / NS:.1f} s of stacks"
            status.losses.append(Loss(what, self._missed_why, _WENT_ON, self.pid))
        if self._failed_dumps:
            count, why = len(self._failed_dumps), self._failed_dumps[-1]
            what = f"{count} single looks at the stacks"
            status.losses.append(Loss(what, why, _WENT_ON, self.pid))
        if self._waited_ns >= _WAITED_LONG_NS:
            what = f"{self._waited_ns / NS:.1f} s of stacks"
            status.losses.append(Loss(what, *self._why_none, self.pid))
        self._untold = None
        self._missed_ns = 0
        self._failed_dumps.clear()
        self._waited_ns = 0
