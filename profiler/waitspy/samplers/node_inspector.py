"""Samples Node.js through its inspector, which is opened for that: this writes to the target.

The conversation is a thread of its own; what it brings is written here, by the thread that steps.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import ClassVar

from waitspy.errors import SamplerError
from waitspy.kernel import descriptors, procfs
from waitspy.model.clock import NS
from waitspy.model.recorded import HeldUp, Loss
from waitspy.recording.folder import Writer
from waitspy.recording.stacks import SUFFIX, Numbers, StacksRow, ThreadNamed, ThreadShows
from waitspy.remote.libuv import NodeLoops
from waitspy.remote.memory import Unavailable, Unreadable
from waitspy.remote.runtime import clock_ahead_ns
from waitspy.samplers import SamplerStatus, Sampling, SegmentRow, WhoRan, v8_profile
from waitspy.samplers.in_process import InProcess
from waitspy.samplers.inspector_session import MAIN, InspectorSession, Profiled

_COST_S = 50e-6  # of a sample, to us: reading what came
_ENDS_WITHIN_NS = 10 * NS
_LONG_NS = NS // 20  # half of the stall that is looked for unless another one is asked for
_US = 1_000_000


class NodeInspectorSampler(InProcess):
    """Samples all threads of JavaScript of one process; see ``Sampler`` for the contract."""

    immediate: ClassVar[bool] = True

    def __init__(self, pid: int, writer: Writer, *, first_segment: int = 0) -> None:
        self.pid = pid
        self.segments: list[SegmentRow] = []
        self._writer = writer
        self._first_segment = first_segment
        self._session: InspectorSession | None = None
        self._loops: NodeLoops | None = None
        self._javascript: set[int] = set()
        self._rate_hz = 0.0
        self._ahead_ns = 0
        self._stopping_ns: int | None = None
        self._over = False
        self._samples = 0
        self._refused = 0

    def cost_s(self, threads: int) -> float:
        """See ``Sampler.cost_s``."""
        del threads
        return _COST_S

    def look(self, seen: WhoRan, now_ns: int, *, at_once: bool = False) -> bool:
        """See ``Sampler.look``: the inspector samples by itself."""
        del seen, now_ns, at_once
        return False

    def step(self, now_ns: int, rate_hz: float) -> SamplerStatus:
        """See ``Sampler.step``; the first rate holds until the end."""
        status = SamplerStatus()
        if self._over:
            return status
        if self._session is None:
            if self._stopping_ns is not None:
                self._over = True
                return status
            self._begin(rate_hz)
            return status
        ends = not self._session.is_alive() or self._too_late(now_ns)
        while self._session.profiles:
            status.finished += self._written(self._session.profiles.popleft())
        while self._session.held_up:
            status.losses += self._told(self._session.held_up.popleft())
        if ends:
            self._over = True
            status.losses += self._losses(self._session)
        return status

    def _begin(self, rate_hz: float) -> None:
        self._rate_hz = max(1.0, rate_hz)
        try:
            self._ahead_ns = clock_ahead_ns(self.pid)
        except (Unavailable, OSError):
            self._ahead_ns = 0
        interval_us = round(_US / self._rate_hz)
        self._session = InspectorSession(self.pid, interval_us, self._of_javascript)
        self._session.start()

    def _of_javascript(self) -> set[int]:
        """The threads that were seen to have a loop for JavaScript, but for the main one; one that
        runs cannot be looked at.
        """
        with suppress(Unavailable, Unreadable, OSError):
            self._loops = self._loops or NodeLoops(self.pid)
            epfds = descriptors.epoll_fds(self.pid)
            tids = set(procfs.threads(self.pid))
            self._javascript &= tids
            found = self._loops.find(epfds, sorted(tids - {self.pid} - self._javascript))
            self._javascript |= {loop.tid for loop in found if loop.runs_javascript}
        return set(self._javascript)

    def _too_late(self, now_ns: int) -> bool:
        return self._stopping_ns is not None and now_ns - self._stopping_ns > _ENDS_WITHIN_NS

    def _written(self, told: Profiled) -> list[SegmentRow]:
        """Writes what one thread did as a segment of its own."""
        profile = told.profile
        start_ns = profile.start_time * 1000 - self._ahead_ns
        end_ns = profile.end_time * 1000 - self._ahead_ns
        try:
            shown = list(v8_profile.read(profile, self._ahead_ns))
        except ValueError:
            self._refused += 1
            return []
        if not 0 < start_ns < end_ns <= time.monotonic_ns() + NS:
            self._refused += 1
            return []
        numbers = Numbers()
        name = "main" if told.session == MAIN else f"worker {told.session}"[:40]
        rows: list[StacksRow] = [ThreadNamed(start_ns, told.tid, name)]
        for at_ns, stack in shown:
            number, new = numbers.number(stack, at_ns)
            rows += new
            rows.append(ThreadShows(at_ns, told.tid, number))
        n = self._first_segment + len(self.segments)
        row = SegmentRow(self.pid, n, f"{self.pid}-{n}{SUFFIX}", start_ns, self._rate_hz)
        row.end_ns, row.samples, row.errors = end_ns, len(profile.samples), 0
        self._writer.start_stacks(row.file, self.pid, StacksRow)
        self._writer.append_stacks(row.file, rows)
        self._writer.end_stacks(row.file, "the segment ended")
        self.segments.append(row)
        self._samples += len(profile.samples)
        return [row]

    def _told(self, held: HeldUp) -> list[Loss]:
        """That a thread stood while its profile was begun, if that was long."""
        length_ns = held.end_ns - held.start_ns
        if length_ns < _LONG_NS:
            return []
        who = "its main thread" if held.tid == self.pid else f"its thread {held.tid}"
        why = "it stood while V8's profiler was started for --inspect, which walks through its heap"
        remedy = "nothing: this was once; without --inspect it does not stand"
        return [Loss(f"{length_ns / NS:.2f} s of {who}", why, remedy, self.pid, (held,))]

    def _losses(self, session: InspectorSession) -> list[Loss]:
        found = []
        error: SamplerError | None = session.failed
        if error is not None:
            what = "stacks" if not self.segments else "some stacks"
            found.append(Loss(what, str(error), error.hint, self.pid))
        elif session.is_alive():
            why = "its inspector did not answer until the end"
            found.append(Loss("some stacks", why, "record again", self.pid))
        if session.left_open is not None:
            what = f"the end of its inspector, which is still open at {session.left_open}"
            why = "its main thread did not close it when it was asked to"
            found.append(Loss(what, why, "restart the server, or leave it open", self.pid))
        if many := len(session.unmatched):
            what = f"stacks of {many} worker thread{'s' * (many > 1)}"
            why = "which one is which could not be told by who runs to answer"
            found.append(Loss(what, why, "record longer", self.pid))
        if self._refused:
            what = f"{self._refused} profiles"
            found.append(Loss(what, "they contradict themselves", "please report this", self.pid))
        return found

    def stop(self, now_ns: int) -> None:
        """See ``Sampler.stop``."""
        self._stopping_ns = now_ns
        if self._session is not None:
            self._session.stop()

    def kill(self) -> None:
        """See ``Sampler.kill``; the conversation ends with waitspy at the latest."""
        if self._session is not None:
            self._session.stop()
        self._over = True

    @property
    def done(self) -> bool:
        """See ``Sampler.done``."""
        return self._over

    def sampling(self) -> Sampling:
        """See ``Sampler.sampling``."""
        return Sampling(0, self._samples)
