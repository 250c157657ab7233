"""One attached worker: its sampler and its oracles, from the first look to the last row."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass

from waitspy.capture import budget, code_origin
from waitspy.capture.life import Life
from waitspy.capture.meta import worker_row
from waitspy.kernel import procfs
from waitspy.model.clock import NS
from waitspy.model.code_origin import Homes, Program
from waitspy.model.oracle_names import concerns
from waitspy.model.processes import Worker
from waitspy.model.recorded import Loss
from waitspy.model.stacks import Stack
from waitspy.oracles import NEVER_NS, Oracle, Watched
from waitspy.oracles.allowance import Allowance
from waitspy.recording import code_origin as code_rows
from waitspy.recording.dumps import DumpRow
from waitspy.recording.folder import Writer
from waitspy.remote import native_ids
from waitspy.remote.memory import Unavailable, Unreadable
from waitspy.remote.reader import Reader
from waitspy.samplers import Sampler, SamplerStatus, Sampling
from waitspy.target import interpreter

_ASK_AT_NS = (0, NS // 2, 3 * NS, 15 * NS)  # programs add to sys.path while they start
_DUMP_BELOW_HZ = 50.0
_DUMP_EVERY_NS = NS // 2
_STACKS_CPU_NS = 5_000_000  # of one look at single stacks; each takes about half a millisecond
_STACKS_SHARE = 0.01  # of one core, for such looks at one worker
_RETRY_NS = NS // 2
_YOUNG_NS = 10 * NS  # for so long after it was met, a worker may still be starting
_GIL_DUMP_EVERY_NS = NS // 10  # nothing else tells who keeps it: one in every stall


@dataclass(slots=True, eq=False)
class _Asked:
    """An oracle that runs, and until when it need not be asked, as it said at its last tick."""

    oracle: Oracle
    rests_until_ns: int = 0
    idles_until_ns: int = 0


class Attachment:
    """Everything that is recorded of one worker; ``row`` is its row in meta.json.

    ``stalls`` counts how often something began to wait long, ``stalling`` is whether it still does.
    ``over`` is whether the last tick found that the process has ended, so that a scan closes this.
    """

    def __init__(
        self,
        worker: Worker,
        sampler: Sampler,
        oracles: Sequence[Oracle],
        writer: Writer,
        room: budget.Room,
        now_ns: int,
    ) -> None:
        self.pid = worker.pid
        self.sampler = sampler
        self.row = worker_row(worker, now_ns)
        self.losses: list[Loss] = []
        self.stalls = 0
        self.stalling = self.over = False
        self.rate_hz = 1.0
        self._hoped = 1.0, 1.0
        self._writer = writer
        self._watched = Watched(worker, f"/proc/{worker.pid}")
        self._life = Life(worker.pid)
        self._clock = procfs.cpu_clock(worker.pid)
        self._cpu_ns = -1
        self._cost_s = sampler.cost_s(worker.threads or 1)
        self._measured = Sampling()
        self._sampled = budget.Recently()
        self._room = room
        self._last_dump_ns = self._next_stacks_ns = 0
        self._for_stacks = Allowance(_STACKS_SHARE)
        self._wants_dump = self._wants_stacks = False
        self._gone = False
        self._span = interpreter.runtime_span(worker.pid)
        if self._span is not None:
            self.row["runtime_span"] = list(self._span)
        self._renamed = False
        with suppress(ProcessLookupError):  # the next scan closes it
            self._renamed = native_ids.differ(worker.pid, worker.python)
        self._inherited: dict[int, int] = {}
        with suppress(OSError):
            self._inherited = native_ids.inherited(worker.pid, worker.python)
        if self._inherited:
            self.row["native_ids"] = [[now_ns, told, tid] for told, tid in self._inherited.items()]
        self._tids: dict[int, int] = {}
        self._named: object = None
        self._asked: list[_Asked] = []
        self._asked_tids: object = None
        self._rest_ns: int | None = 0
        self._missing = [oracle for oracle in oracles if concerns(oracle.name, worker)]
        self._attached_ns = self._tried_ns = now_ns
        self._asks_ns = [now_ns + after_ns for after_ns in _ASK_AT_NS]
        self._program = Program()
        self._imported: tuple[tuple[int, int, int], ...] = ()
        try:
            self._attach()
        except OSError:
            self.release()
            raise

    def allow(self, routine_share: float) -> None:
        """What each oracle may use of one core to look for new things in this worker."""
        self._watched.routine_share = routine_share

    def tick(self, now_ns: int) -> None:
        """Asks every oracle what has changed.

        Raises:
            OSError: the disk failed.
        """
        try:
            cpu_ns = time.clock_gettime_ns(self._clock)
        except OSError:  # it is gone; the next scan closes it
            cpu_ns = -1
        ran = cpu_ns != self._cpu_ns or cpu_ns < 0
        self._cpu_ns = cpu_ns
        if ran or self._has_to_look(now_ns):
            self._look(now_ns, ran=ran)
        self._watched.before_ns = now_ns

    def _has_to_look(self, now_ns: int) -> bool:
        """Whether somebody may see something though nothing ran."""
        watched = self._watched  # others may have found that it holds something
        if self._rest_ns is None:
            self._rest_ns = self._may_rest_until_ns()
        called = watched.holders or watched.called
        return bool(now_ns >= self._rest_ns or called or watched.readiness.poll(0))

    def _look(self, now_ns: int, *, ran: bool) -> None:
        """Asks all oracles; where nothing ran, those that may see something all the same."""
        if ran and self._life.over:  # who ends, runs
            self.over = True
            return
        watched = self._watched
        watched.begin_tick(ran=ran)
        if self._missing and now_ns >= self._tried_ns + _RETRY_NS:
            self._tried_ns = now_ns
            if now_ns < self._attached_ns + _YOUNG_NS:
                self._attach()
        self._ask(now_ns)
        if watched.tids is not self._named:
            self._name_threads(now_ns)
        onset, due = watched.onset, watched.due
        self.stalls += onset
        self.stalling = onset or (self.stalling and due)
        samples_now = self.sampler.immediate
        if samples_now:
            spent_ns = self.sampler.sampling().cpu_ns
            samples_now = watched.has_room = self._room.is_left(now_ns, spent_ns)
        unread = self.sampler.look(watched, now_ns, at_once=onset)
        if samples_now:
            self._wants_stacks = self._wants_dump = False
        else:
            self._read_beside_sampler(now_ns)
        if not self._wants_stacks:
            watched.suspects.clear()
            watched.holders.clear()
        self._rest_ns = 0 if unread else None

    def _read_beside_sampler(self, now_ns: int) -> None:
        """Stacks where a wait begins, of a sampler that takes its own whenever it comes to it, or
        has no room for them.
        """
        onset, due = self._watched.onset, self._watched.due
        # Who wants the GIL wakes all the time to ask for it: it may be caught waiting only later.
        self._wants_dump = onset or (self._wants_dump and due)
        self._wants_stacks = onset or (self._wants_stacks and due)
        if self._wants_stacks:
            self._wants_stacks = not self._read_stacks()
        elif self._watched.holders:
            self._read_stacks_of(sorted(self._watched.holders & self._watched.blocked.keys()))
        if self._wants_dump:
            self._dump(now_ns)

    def _ask(self, now_ns: int) -> None:
        watched = self._watched
        alarms = watched.was_due or watched.called
        stirs = watched.ran or alarms or bool(watched.running)
        watched.called = False
        stirs = stirs or bool(watched.readiness.poll(0))
        for one in self._asked:
            # of the threads, the oracle that looks first tells
            if not (alarms or watched.due or watched.onset or watched.tids is not self._asked_tids):
                if stirs and now_ns < one.idles_until_ns:
                    if one.idles_until_ns < one.rests_until_ns:  # noqa: PLR1730  (at each tick)
                        one.rests_until_ns = one.idles_until_ns  # it does not know what ran since
                    continue
                if not stirs and now_ns < one.rests_until_ns:
                    continue
            watched.rests_until_ns = watched.idles_until_ns = 0
            try:
                rows = list(one.oracle.tick(watched, now_ns))
            except Exception as error:  # noqa: BLE001  (one oracle's fault must not end them all)
                self._fail(one, error, now_ns)
                continue
            one.rests_until_ns = watched.rests_until_ns
            one.idles_until_ns = watched.idles_until_ns
            if rows:
                self._writer.append(one.oracle.name, self.pid, rows)
                stirs = True  # what one has seen may be news to those that look after it
        self._asked_tids = watched.tids

    def _may_rest_until_ns(self) -> int:
        """Until when nobody has to be asked, as long as the process does not run and no I/O becomes
        ready. What waits, and who holds it, is looked at again and again.
        """
        watched = self._watched
        if watched.due or watched.onset or watched.holders or watched.tids is not self._named:
            return 0
        until_ns = min([one.rests_until_ns for one in self._asked], default=NEVER_NS)
        if self._missing and watched.before_ns < self._attached_ns + _YOUNG_NS:
            return min(until_ns, self._tried_ns + _RETRY_NS)
        return until_ns

    def play(self, worker: Worker) -> None:
        """Takes over the part that the process turns out to play: a master has no workers at first,
        and stays one when they have ended.
        """
        if worker.role != "worker":
            self.row["role"] = worker.role

    def step(self, now_ns: int) -> None:
        """Turns sampler segments over and keeps what came of them.

        Raises:
            OSError: the disk failed.
        """
        if self._asks_ns and now_ns >= self._asks_ns[0] and not self._gone:
            del self._asks_ns[0]
            self._ask_for_code()
        if self._room.was_out:
            self.adjust(*self._hoped)
        self._take(self.sampler.step(now_ns, self.rate_hz))

    def adjust(self, asked_hz: float, share: float) -> None:
        """Chooses the sampling rate by what a sample was seen to cost."""
        self._hoped, self._room.was_out = (asked_hz, share), False
        now, before = self.sampler.sampling(), self._measured
        self._measured = now
        cpu_s = (now.cpu_ns - before.cpu_ns) / NS
        self._cost_s = budget.refine(self._cost_s, cpu_s, now.samples - before.samples)
        self.rate_hz = budget.rate_hz(asked_hz, self._cost_s, share)
        measured_s = now.cpu_ns / NS / now.samples if now.samples >= 1 else None
        threads = len(self._watched.tids) or self._watched.worker.threads or 1
        if not budget.is_worth_sampling(threads, measured_s):
            self.rate_hz = 0.0

    def sampling_ns(self, now_ns: int, within_ns: int) -> int:
        """CPU time that its samples have cost lately."""
        return self._sampled.note(now_ns, self.sampler.sampling().cpu_ns, within_ns)

    def detach(self, now_ns: int, exit_: str) -> None:
        """Closes a worker that has ended.

        Raises:
            OSError: the disk failed.
        """
        self._gone = True
        self.row["gone_ns"] = now_ns
        self.row["exit"] = exit_
        self.sampler.stop(now_ns)
        self.release()
        for one in self._asked:
            self._writer.end_stream(one.oracle.name, self.pid, exit_)

    def release(self) -> None:
        """Gives back what the oracles hold of the target."""
        self._life.close()
        for one in self._asked:
            self._let_go(one.oracle)

    def _attach(self) -> None:
        """Starts the oracles that do not run yet: an interpreter that begins cannot be read.

        Raises:
            OSError: the disk failed.
        """
        if not isinstance(self._watched.reader, Reader):
            self._watched.reader = None  # why it could not be read may be over
        for oracle in list(self._missing):
            try:
                state = oracle.attach(self._watched)
            except Exception as error:  # noqa: BLE001  (as in tick)
                self._missing.remove(oracle)
                self._give_up(oracle, error)
                continue
            self.row["oracles"][oracle.name] = state
            if state == "ok":
                self._missing.remove(oracle)
                self._asked.append(_Asked(oracle))
                self._writer.start_stream(oracle.name, self.pid, oracle.rows)

    def _fail(self, one: _Asked, error: Exception, now_ns: int) -> None:
        """Ends an oracle that ran; from then on nothing is claimed of the worker."""
        self._asked = [other for other in self._asked if other is not one]
        why = self._give_up(one.oracle, error)
        self.row.setdefault("known_ns", now_ns)
        self._writer.end_stream(one.oracle.name, self.pid, why)

    def _give_up(self, oracle: Oracle, error: Exception) -> str:
        """Goes on without an oracle that failed; why is noted, and returned."""
        why = f"it failed ({type(error).__name__}: {error})"
        self._let_go(oracle)
        self.row["oracles"][oracle.name] = why
        what = f"oracle {oracle.name}, and what it would have shown"
        self.losses.append(Loss(what, why, "please report this", self.pid))
        return why

    def _let_go(self, oracle: Oracle) -> None:
        with suppress(Exception):  # it may have failed half way; there is nothing else to do
            oracle.detach(self._watched)

    def _ask_for_code(self) -> None:
        """Notes where the interpreter says that its code is; what it said before holds on."""
        reader = self._watched.reader
        if not isinstance(reader, Reader):
            return
        with suppress(Exception):  # without it, paths tell whose code it is
            imported = reader.imported()
            if imported == self._imported:
                return  # no code has come since
            program = code_origin.program(self.pid, reader.import_facts())
            self._program = program.after(self._program)
            self.row[code_rows.KEY] = code_rows.row(self._program)
            reader.know(Homes([self._program]))
            self._imported = imported

    def _read_stacks(self) -> bool:
        """Reads the stacks of threads that stand still: first of those that a wait is about, then
        of those that hold what is waited for; whether each of the first was read, or all where
        nobody knows whom it is about. At any rate of sampling: a wait has a stack of its own.

        Raises:
            OSError: the disk failed.
        """
        blocked = self._watched.blocked
        suspects, holders = self._watched.suspects, self._watched.holders & blocked.keys()
        first = [tid for tid in (*sorted(suspects), *sorted(holders)) if tid in blocked]
        others = [tid for tid in (self.pid, *sorted(blocked)) if tid in blocked]
        read = self._read_stacks_of(dict.fromkeys((*first, *others)))
        return read >= ((suspects | holders) or set(others))

    def _read_stacks_of(self, tids: Iterable[int]) -> AbstractSet[int]:
        """Reads the stacks of those of these threads that stand still, as far as the allowance
        goes; of which it did.

        Raises:
            OSError: the disk failed.
        """
        reader, at_ns = self._watched.reader, time.monotonic_ns()
        if not isinstance(reader, Reader) or at_ns < self._next_stacks_ns:
            return frozenset()
        began_ns = time.thread_time_ns()
        stacks: dict[int, Stack] = {}
        # What is read here is read again by the next tick, or by the sampler.
        with suppress(OSError, Unavailable, Unreadable):
            stacks = reader.stacks(tids, _STACKS_CPU_NS)
        # who has gone on since the kernel was asked is not where it was then
        stacks = {tid: stack for tid, stack in stacks.items() if self._watched.stood(tid)}
        spent_ns = time.thread_time_ns() - began_ns
        self._next_stacks_ns = self._for_stacks.spend(spent_ns, time.monotonic_ns())
        if stacks:
            row = DumpRow(at_ns, stacks, None, time.monotonic_ns())
            self._writer.append_dump(self.pid, row)
        return stacks.keys()

    def _wants_gil(self) -> bool:
        """Whether a thread waits for the GIL."""
        span = self._span
        return span is not None and any(
            span[0] <= arg0 < span[1] for _, arg0 in self._watched.blocked.values()
        )

    def _dump(self, now_ns: int) -> None:
        """Takes all stacks at once where somebody waits for the GIL, or where sampling is too slow
        and those of the threads in question could not be read.
        """
        wants_gil = self._wants_gil()
        every_ns = _GIL_DUMP_EVERY_NS if wants_gil else _DUMP_EVERY_NS
        if (
            ((self._wants_stacks and 0 < self.rate_hz < _DUMP_BELOW_HZ) or wants_gil)
            and (now_ns - self._last_dump_ns >= every_ns)
            and self.sampler.dump(now_ns)
        ):
            self._last_dump_ns = now_ns
            self._wants_dump = False

    def _name_threads(self, now_ns: int) -> None:
        """Notes which OS thread is meant by each id that the sampler gives."""
        self._named = self._watched.tids
        if not self._renamed:
            return
        try:
            told = native_ids.here(
                self.pid, self._watched.worker.python, self._span[0] if self._span else None
            )
        except OSError:
            return
        for sampled, tid in told.items():
            if self._tids.get(sampled) != tid:
                self.row.setdefault("native_ids", []).append([now_ns, sampled, tid])
        self._tids = told
        if len(told) < len(self._watched.tids):
            self._named = None  # a thread is only starting: look again

    def _explained(self, loss: Loss) -> Loss:
        """What py-spy says of a file that it cannot open does not say which, and why."""
        if self.sampler.immediate or not loss.what.endswith("stacks"):
            return loss
        reason = interpreter.out_of_reach(self.pid)
        return loss if reason is None else Loss(loss.what, *reason, self.pid)

    def _take(self, status: SamplerStatus) -> None:
        if not self._gone:  # a sampler that ends with its process has lost nothing
            self.losses.extend(self._explained(loss) for loss in status.losses)
        for dump in status.dumps:
            if self._renamed or self._inherited:
                tids = self._inherited | {tid: tid for tid in self._watched.tids} | self._tids
                stacks = {tids[t]: stack for t, stack in dump.stacks.items() if t in tids}
                gil_tid = tids.get(dump.gil_tid or 0)
                dump = DumpRow(dump.at_ns, stacks, gil_tid, dump.until_ns)  # noqa: PLW2901
            self._writer.append_dump(self.pid, dump)
