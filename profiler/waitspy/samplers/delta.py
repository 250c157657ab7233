"""Our own sampler: it reads only the stacks of threads that ran, and rows only of what changed.

It looks at each tick, after the oracles, and takes from them who has run: a thread whose time on
the CPU did not change has the stack that it had, and a process whose clock stands still is not
looked at. What is not known for certain is not shown, and counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from itertools import zip_longest
from typing import ClassVar

from waitspy.model.clock import NS
from waitspy.model.recorded import Loss
from waitspy.model.stacks import Stack
from waitspy.recording.folder import Writer
from waitspy.recording.stacks import (
    SUFFIX,
    GilHeld,
    Numbers,
    StacksRow,
    ThreadNamed,
    ThreadShows,
)
from waitspy.remote.memory import Unavailable, Unreadable
from waitspy.remote.reader import Reader
from waitspy.remote.runtime import Gil
from waitspy.remote.thread_stacks import ThreadState
from waitspy.samplers import SamplerStatus, Sampling, SegmentRow, WhoRan
from waitspy.samplers.in_process import InProcess

_FIRST_COST_S = 50e-6  # of a sample, before one was measured: most threads stand still
_LOOK_CPU_NS = 10_000_000  # of one look; whoever is left over comes first in the next one
_AT_ONCE = 16  # threads that are read before the time is looked at
_LIST_EVERY_NS = NS // 5  # for threads that are not known to Python, or not yet
_NAMES_EVERY_NS = 5 * NS
_NAME_EVERY_NS = 5_000_000  # of each thread: with thousands they are asked more rarely
_NAMES_AT_ONCE = 64
_UNNAMED_EVERY_NS = NS // 10
_UNNAMED_TRIES = 5
_FIRST_LOOKS = 10  # at most, in which all threads are read for the first time
_TRIES = 3  # to read a thread whole that does not run
_LATE = 1.5  # periods after which it is told until when the stack before was seen
_TOO_FAST, _TOO_SLOW = 0.75, 1.3  # of the rate in force: then another segment begins
_LASTS_NS = NS
_NOBODY: tuple[int | None, bool] = None, False  # holds the GIL, and no garbage is collected
_MOST_NUMBERS = 50_000
_MOST_BYTES = 16 << 20
_REPORT = "please report this"
_NO_TIME = "reading all of them once takes longer than the recording, within the budget"
_MORE_TIME = "record for longer, or with a larger --budget"
_NONE_READ = "use --sampler py-spy, and try 'waitspy doctor' on this process"


class DeltaSampler(InProcess):
    """Samples one worker; see ``Sampler`` for the contract.

    ``first_segment`` is the number of the first segment. Unlike others it uses the time of the
    thread that calls it, and writes by itself.
    """

    immediate: ClassVar[bool] = True

    def __init__(self, pid: int, writer: Writer, *, first_segment: int = 0) -> None:
        self.pid = pid
        self.segments: list[SegmentRow] = []
        self._writer = writer
        self._first_segment = first_segment
        self._row: SegmentRow | None = None
        self._numbers = Numbers()
        self._bytes = 0
        self._threads = _Threads()
        self._stacks: dict[int, Stack] = {}
        self._shown: dict[int, int] = {}
        self._left: dict[int, int] = {}
        self._read_once: set[int] = set()
        self._held: dict[int, tuple[int | None, bool]] = {}
        self._gils: dict[int, Gil] = {}
        self._seen: WhoRan | None = None
        self._ran = True
        self._period_ns = NS
        self._next_ns = 0
        self._looked_ns = 0
        self._spent_ns = 0
        self._samples = 0
        self._why_none: str | None = None
        self._fault: str | None = None
        self._attached = False
        self._stopping = False
        self._over = False

    def cost_s(self, threads: int) -> float:
        """See ``Sampler.cost_s``."""
        del threads
        return _FIRST_COST_S

    # --- segments -------------------------------------------------------------------------

    def step(self, now_ns: int, rate_hz: float) -> SamplerStatus:
        """See ``Sampler.step``; at a rate of zero it samples as slowly as it can."""
        status = SamplerStatus()
        if self._over:
            return status
        row = self._row
        if self._stopping:
            self._over = True
            if not self._samples and self._why_none is not None:
                status.losses.append(Loss("stacks", self._why_none, _NONE_READ, self.pid))
            unread = self._threads.states.keys() - self._read_once
            if unread and self._samples:
                what = f"stacks of {len(unread)} of {len(self._threads.states)} threads"
                status.losses.append(Loss(what, _NO_TIME, _MORE_TIME, self.pid))
            if self._fault is not None:
                status.losses.append(Loss("some stacks", self._fault, _REPORT, self.pid))
            status.finished += self._end()
        elif row is None:
            self._begin(time.monotonic_ns(), rate_hz)
        elif self._has_to_change(row, now_ns, rate_hz):
            status.finished += self._end()
            self._begin(self._looked_ns, rate_hz)
            self._tell([*self._names_told(), *self._shown_again(), *self._held_again()])
        else:
            self._period_ns = int(NS / min(row.rate_hz, _whole(rate_hz)))
        return status

    def _has_to_change(self, row: SegmentRow, now_ns: int, rate_hz: float) -> bool:
        if len(self._numbers) > _MOST_NUMBERS or self._bytes > _MOST_BYTES:
            return True
        asked, lasted_ns = _whole(rate_hz), now_ns - row.zero_ns
        too_fast = asked < row.rate_hz * _TOO_FAST and lasted_ns > _LASTS_NS
        return too_fast or (asked > row.rate_hz * _TOO_SLOW and lasted_ns > _LASTS_NS)

    def _begin(self, at_ns: int, rate_hz: float) -> None:
        n = self._first_segment + len(self.segments)
        row = SegmentRow(self.pid, n, f"{self.pid}-{n}{SUFFIX}", at_ns, _whole(rate_hz))
        row.samples = row.errors = 0
        self._writer.start_stacks(row.file, self.pid, StacksRow)
        self._row = row
        self._period_ns = int(NS / row.rate_hz)
        self._looked_ns = at_ns
        self._numbers, self._bytes = Numbers(), 0
        self.segments.append(row)

    def _end(self) -> list[SegmentRow]:
        self._hold()
        row, self._row = self._row, None
        if row is None:
            return []
        row.end_ns = self._looked_ns
        self._writer.end_stacks(row.file, "the segment ended")
        return [row]

    def _names_told(self) -> list[StacksRow]:
        names = self._threads.names
        return [ThreadNamed(self._looked_ns, tid, name) for tid, name in names.items()]

    def _shown_again(self) -> Iterable[StacksRow]:
        for tid, stack in self._stacks.items():
            number, new = self._numbers.number(stack, self._looked_ns)
            self._shown[tid] = number
            yield from new
            yield ThreadShows(self._looked_ns, tid, number)

    def _held_again(self) -> Iterable[StacksRow]:
        for number, (holder_tid, collects) in self._held.items():
            yield GilHeld(self._looked_ns, number, holder_tid, collects)

    def _tell(self, rows: Sequence[StacksRow]) -> None:
        if rows and self._row is not None:
            self._bytes += self._writer.append_stacks(self._row.file, rows)

    def stop(self, now_ns: int) -> None:  # noqa: ARG002  (the same)
        """See ``Sampler.stop``."""
        self._stopping = True

    def kill(self) -> None:
        """See ``Sampler.kill``; the recording ends its stream."""
        self._hold()
        if self._row is not None:
            self._row.end_ns = self._looked_ns
        self._over = True

    @property
    def done(self) -> bool:
        """See ``Sampler.done``."""
        return self._over

    def sampling(self) -> Sampling:
        """See ``Sampler.sampling``."""
        self._hold()
        return Sampling(self._spent_ns, self._samples)

    # --- looks ----------------------------------------------------------------------------

    def look(self, seen: WhoRan, now_ns: int, *, at_once: bool = False) -> bool:
        """See ``Sampler.look``."""
        if self._row is None or self._stopping:
            return False
        self._seen = seen
        again = self._sample_if_due(seen, now_ns, at_once=at_once)
        if seen.ran:
            self._see_gils(seen.reader)
        return again

    def _sample_if_due(self, seen: WhoRan, now_ns: int, *, at_once: bool) -> bool:
        self._hold()
        self._ran = self._ran or seen.ran
        until_ns = now_ns + self._period_ns // 4  # a little early is soon enough
        if until_ns >= self._next_ns or at_once:
            due = self._due_until(until_ns)
            if not (self._ran or self._left):
                self._looked_ns = now_ns
                self._count(due)
            elif seen.has_room or not self._attached:  # else it is missed
                self._count(int(self._sample(seen)))  # of those that were due before: missed
        return self._ran or bool(self._left)

    def _due_until(self, until_ns: int) -> int:
        """How many samples come due until then, since this was asked before."""
        due = max(0, (until_ns - self._next_ns) // self._period_ns + 1)
        self._next_ns += due * self._period_ns
        return due

    def _hold(self) -> None:
        """Until the tick before everything is as it was, if nothing has run since the last look."""
        if self._seen is None or self._ran:
            return
        before_ns = self._seen.before_ns
        self._looked_ns = max(self._looked_ns, before_ns)
        if before_ns >= self._next_ns:
            self._count(self._due_until(before_ns))

    def _count(self, samples: int) -> None:
        """Samples that were due, and have told of all threads."""
        self._samples += samples
        if self._row is not None:
            self._row.samples = (self._row.samples or 0) + samples * len(self._stacks)

    def _see_gils(self, reader: Reader | str | None) -> None:
        """Tells who holds the GIL now, and who collects garbage, where that has changed.

        At every tick at which anything had run, whatever the rate of samples is; but where there is
        a single thread, nobody can want it.
        """
        if not isinstance(reader, Reader) or (len(self._threads.states) == 1 and not self._held):
            return
        with suppress(OSError):  # it is ending
            at_ns, gils = time.monotonic_ns(), reader.gils()
            if gils == self._gils and not self._threads.are_new:
                return
            self._gils, self._threads.are_new = gils, False
            held = dict.fromkeys(self._held, _NOBODY)  # of interpreters that have ended
            for number, gil in gils.items():
                held[number] = self._threads.tid_of(gil.holder), gil.collects
            changed = [(n, now) for n, now in held.items() if now != self._held.get(n)]
            self._held = {number: held[number] for number in gils}
            self._tell([GilHeld(at_ns, number, *now) for number, now in changed])

    def _sample(self, seen: WhoRan) -> bool:
        """Reads whoever has run since the last time, or was left over then; whether it could."""
        at_ns, reader = time.monotonic_ns(), seen.reader
        if not isinstance(reader, Reader):
            self._why_none = reader or "nothing reads its memory"
            return False
        began_ns = time.thread_time_ns()
        late = at_ns - self._looked_ns > _LATE * self._period_ns
        known_ns = self._looked_ns if late else None
        rows: list[StacksRow] = []
        done = False
        try:
            ran = seen.stirred | seen.running
            if self._threads.update(reader, seen.tids, ran, at_ns):
                rows += self._forget(at_ns, known_ns)
            if at_ns >= self._threads.name_ns and not self._left:  # stacks first: they do not wait
                rows += self._threads.name(reader, at_ns)
            due = self._due(ran if seen.tids else self._threads.states.keys())
            self._left = self._read(reader, due, known_ns, began_ns + _LOOK_CPU_NS, rows)
            seen.stirred.clear()
            self._ran = False
            self._looked_ns = at_ns
            done = True
        except (Unreadable, Unavailable) as error:  # it is starting or ending: later
            self._why_none = str(error) or "its memory changed at every try"
        except OSError as error:
            self._why_none = f"process_vm_readv: {error.strerror}"
        except Exception as error:  # noqa: BLE001  (a fault of ours must not end the recording)
            self._fault = f"it failed ({type(error).__name__}: {error})"
        self._tell(rows)
        if self._attached:
            self._spent_ns += time.thread_time_ns() - began_ns
        if done and (not self._left or self._samples > _FIRST_LOOKS):
            self._attached = True  # to read all for the first time is no sample
        return done

    def _due(self, ran: AbstractSet[int]) -> dict[int, int]:
        """Whom to read, and how often that was tried in vain since it has run."""
        states = self._threads.states
        if not self._left:
            return {tid: 0 for tid in ran if tid in states}
        left = [one for one in self._left.items() if one[0] not in ran]
        # by turns: where there is no time for all, neither those that run nor the others wait long
        both = zip_longest(left, ((tid, 0) for tid in ran))
        return {tid: n for pair in both for tid, n in filter(None, pair) if tid in states}

    def _forget(self, at_ns: int, known_ns: int | None) -> list[StacksRow]:
        """Threads that are gone show nothing any more."""
        gone = [tid for tid in self._stacks if tid not in self._threads.states]
        return [row for tid in gone for row in self._show(tid, (), at_ns, known_ns)]

    def _read(
        self,
        reader: Reader,
        due: dict[int, int],
        known_ns: int | None,
        until_ns: int,
        rows: list[StacksRow],
    ) -> dict[int, int]:
        """Reads threads as far as the time allows; gives those that are to be read again."""
        left: dict[int, int] = {}
        tids = list(due)
        assert self._row is not None
        for begin in range(0, len(tids), _AT_ONCE):
            some, at_ns = tids[begin : begin + _AT_ONCE], time.monotonic_ns()
            if begin and time.thread_time_ns() > until_ns:
                for tid in tids[begin:]:  # it has run, and nobody knows where it is now
                    left[tid] = due[tid]
                    rows += self._show(tid, (), at_ns, known_ns)
                break
            self._read_once.update(some)
            for tid, (stack, whole) in self._stacks_of(reader, some).items():
                if not whole:
                    self._row.errors = (self._row.errors or 0) + 1
                    if due[tid] < _TRIES:
                        left[tid] = due[tid] + 1
                rows += self._show(tid, stack, at_ns, known_ns)
        return left

    def _stacks_of(self, reader: Reader, tids: Sequence[int]) -> dict[int, tuple[Stack, bool]]:
        """The stack of each thread: of that interpreter that it is in."""
        states = [(tid, state) for tid in tids for state in self._threads.states[tid]]
        found: dict[int, tuple[Stack, bool]] = {}
        seen = reader.moving_stacks([state for _, state in states])
        for (tid, _), (stack, whole) in zip(states, seen, strict=True):
            if stack or not whole or tid not in found:
                found[tid] = stack, whole
        return found

    def _show(
        self, tid: int, stack: Stack, at_ns: int, known_ns: int | None
    ) -> Iterable[StacksRow]:
        if stack and self._stacks.get(tid) is stack:
            return
        number, new = self._numbers.number(stack, at_ns)
        if stack:
            self._stacks[tid] = stack  # a stack that is there again is often the same object
        if number == self._shown.get(tid, 0):
            return
        if stack:
            self._shown[tid] = number
        else:
            del self._stacks[tid], self._shown[tid]
        yield from new
        yield ThreadShows(at_ns, tid, number, known_ns)


class _Threads:
    """The states of the process's Python threads, by thread id, and their names.

    ``are_new`` is set when they were listed again, ``name_ns`` is when they are to be named.
    """

    def __init__(self) -> None:
        self.states: dict[int, list[ThreadState]] = {}
        self.names: dict[int, str] = {}
        self._tids_by_state: dict[int, int] = {}
        self._tids_by_ident: dict[int, int] = {}
        self.are_new = True
        self.name_ns = 0
        self._reader: Reader | None = None
        self._tids: object = None
        self._next_list_ns = 0
        self._next_names_ns = self._next_unnamed_ns = 0
        self._unnamed = 0
        self._asked = 0

    def update(self, reader: Reader, tids: object, ran: AbstractSet[int], at_ns: int) -> bool:
        """Lists them again where some came or went, or are not known yet; whether it did.

        Raises:
            Unreadable: they changed while they were listed.
            OSError: the process is gone.
        """
        others = tids is not self._tids or reader is not self._reader
        again = others or (at_ns >= self._next_list_ns and not ran <= self.states.keys())
        if again:
            self.states = reader.python_threads()
            every = [(one, tid) for tid, states in self.states.items() for one in states]
            self._tids_by_state = {one.address: tid for one, tid in every}
            self._tids_by_ident = {one.ident: tid for one, tid in every}
            self._tids, self._reader = tids, reader
            self._next_list_ns = at_ns + _LIST_EVERY_NS
            self.names = {tid: name for tid, name in self.names.items() if tid in self.states}
            self._unnamed = 0
            self.are_new = True
            self._set_name_ns()
        return again

    def _set_name_ns(self) -> None:
        unnamed = self._unnamed < _UNNAMED_TRIES and not self.states.keys() <= self.names.keys()
        self.name_ns = self._next_unnamed_ns if unnamed else self._next_names_ns

    def name(self, reader: Reader, at_ns: int) -> Iterable[StacksRow]:
        """Rows for threads with new names; a new one gets its name a moment after it starts."""
        names, more = reader.thread_names(self._asked, _NAMES_AT_ONCE)
        self._asked += _NAMES_AT_ONCE
        if not more:
            self._asked = 0
            self._unnamed += 1
            every_ns = max(_NAMES_EVERY_NS, len(self.states) * _NAME_EVERY_NS)
            self._next_names_ns = at_ns + every_ns
            self._next_unnamed_ns = at_ns + _UNNAMED_EVERY_NS
        for ident, name in names.items():
            tid = self._tids_by_ident.get(ident)
            if tid is not None and self.names.get(tid) != name:
                self.names[tid] = name
                yield ThreadNamed(at_ns, tid, name)
        self._set_name_ns()

    def tid_of(self, state: int | None) -> int | None:
        """The thread that has that state."""
        return None if state is None else self._tids_by_state.get(state)


def _whole(rate_hz: float) -> int:
    return max(1, round(rate_hz))
