"""Runs samplers and oracles side by side and writes a Recording: the live half's main loop.

One thread, one clock (CLOCK_MONOTONIC). Each tick asks the oracles of every worker; slower rounds
look for new and ended workers, turn sampler segments over, and write what is known to disk.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from waitspy import __version__
from waitspy.capture import meta
from waitspy.capture.attachment import Attachment
from waitspy.capture.budget import Budget, Purse, Recently, Room
from waitspy.capture.command import Command
from waitspy.capture.precedence import precedence
from waitspy.capture.signals import Signals
from waitspy.capture.sources import Roots
from waitspy.capture.ticks import Pace, Round
from waitspy.errors import TargetError
from waitspy.model.clock import NS
from waitspy.model.processes import Worker
from waitspy.model.recorded import Loss
from waitspy.oracles.allowance import routine_share
from waitspy.oracles.registry import make_oracles
from waitspy.recording.folder import Writer, remedy
from waitspy.samplers.registry import AUTO, START_COST_NS, chosen, make_sampler
from waitspy.target import discover
from waitspy.target.tree import HEADLESS, Tree

_TICK_HZ = 100.0  # of the oracles, at least; they are cheaper than stacks
_SCAN_NS = 200_000_000  # a new worker is attached after at most this and one scan
_ATTACHING_NS = 15_000_000  # at once, and at least one; with 64 workers all take a second
_STEP_NS = 50_000_000
_STEPPED = 16  # samplers at one step, each in its turn: of 64 each one five times a second
_CALM_STEP_NS = 200_000_000  # where no sampler has a process of its own, and all take one step
_CROWDED = 0.5  # of the samplers' share, where oracles alone take more than theirs
_FLUSH_NS = NS
_STOP_WITHIN_NS = 20 * NS


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for; ``duration_s`` None means until the end of the target."""

    target: str
    output: str
    duration_s: float | None = None
    rate_hz: float = 100.0
    min_stall_s: float = 0.1
    blocking: bool = False
    sampler: str = AUTO
    inspect: bool = False
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known while it runs; ``looks`` counts the observer's ticks."""

    elapsed_s: float
    workers: int
    looks: int
    stalls: int


@contextmanager
def _collecting_little() -> Iterator[None]:
    """Spares the garbage collector all that is there already.

    A collection is charged to the look in which it happens. Two milliseconds, spent on what was
    imported, made an oracle pause for a fifth of a second: a busy pool looked like a stuck one.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class Capture:
    """One recording, from start to its last file.

    ``progress`` is called a few times a second. ``run`` returns when the time is up, a signal
    came, the target is gone, or the disk failed (``disk_error`` says how, ``disk_remedy`` what to
    do); the folder is then complete.

    Raises:
        RecordingError: the folder cannot be made.
    """

    def __init__(
        self,
        options: Options,
        tree: Tree,
        command: Command | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._options = options
        self._tree = tree
        self._command = command
        self._progress = progress
        self._oracles = make_oracles(options.min_stall_s)
        self._attached: dict[tuple[int, int], Attachment] = {}
        self._everyone: list[Attachment] = []
        self._coming: dict[tuple[int, int], Worker] = {}
        self._skipped: dict[tuple[int, int], tuple[Worker, int]] = {}
        self._headless: set[tuple[int, int]] = set()
        self._scanned: tuple[Worker, ...] | None = None
        self._losses: list[Loss] = []
        self._looks = self._turn = self._attaching_ns = 0
        self._peak_rss = 0
        self.disk_error: str | None = None
        self.disk_remedy = ""
        tick_ns = int(NS / max(_TICK_HZ, options.rate_hz))
        self._purse = Purse(START_COST_NS)
        self._spent, self._sampled = Recently(), Recently()
        self._pace = Pace(tick_ns, int(options.min_stall_s * NS))
        self._start_ns = time.monotonic_ns()
        self._start_cpu_ns = time.process_time_ns()
        self._end_ns: int | None = None
        self.roots = Roots()
        self.interrupted = False
        self._writer = Writer(options.output, self._first_meta())

    @property
    def path(self) -> str:
        """Where the recording is, for this process, until ``release``."""
        return self._writer.path

    def place(self) -> str:
        """Where the recording is for others, until ``release``: somebody may have renamed it."""
        return self._writer.place(self._options.output)

    def release(self) -> None:
        """Lets go of the recording and of the workers' files."""
        self.roots.close()
        self._writer.release()

    def run(self) -> None:
        """Records until the end.

        Raises:
            TargetError: no worker could be attached.
            PermissionMissing: that was so because of missing permissions.
            SamplerError: py-spy is missing, and has to be used.
        """
        with Signals() as signals, precedence() as timing, _collecting_little():
            try:
                at_once = self._begin() and self._loop(signals, timing)
                self._finish(signals, at_once=at_once)
            finally:
                for one in self._everyone:
                    one.sampler.kill()
                self._close()

    def _begin(self) -> bool:
        """Attaches whoever is there; False when the disk failed."""
        try:
            self._scan(time.monotonic_ns())
            self._attach_some()
        except OSError as error:
            self._disk_failed(error)
            return False
        if not self._attached and self._command is None:
            if not self._tree.workers:
                what = f"{self._options.target} has just ended"
                raise TargetError(what, "give a process that runs")
            discover.require_attachable(self._tree.workers)
        return True

    def _disk_failed(self, error: OSError) -> None:
        if self.disk_error is None:
            self.disk_error, self.disk_remedy = error.strerror or str(error), remedy(error)

    def _loop(self, signals: Signals, timing: Callable[[bool], None]) -> bool:
        """Ticks until the end; True when a second signal asked to end at once."""
        end_ns = None
        if self._options.duration_s is not None:
            end_ns = self._start_ns + int(self._options.duration_s * NS)
        now_ns = time.monotonic_ns()
        self._pace.begin(now_ns, time.process_time_ns())
        scans, steps, flushes = (Round(every, now_ns) for every in (_SCAN_NS, _STEP_NS, _FLUSH_NS))
        signals_seen = 0
        ended = False
        while True:
            now_ns = time.monotonic_ns()
            if end_ns is not None and now_ns >= end_ns:
                self._pace.look(now_ns)
                return False
            try:
                if ended or now_ns >= scans.next_ns:
                    scans.begin(now_ns)
                    if not self._scan(now_ns):
                        return False
                if self._coming:
                    self._attach_some()
                now_ns = time.monotonic_ns()  # of what is seen now, and of the gap before it
                self._pace.look(now_ns)
                self._looks += 1
                ended = stalling = False
                for one in self._attached.values():
                    one.tick(now_ns)
                    ended = ended or one.over
                    stalling = stalling or one.stalling
                timing(stalling)
                if now_ns >= steps.next_ns:
                    steps.every_ns = self._step(now_ns)
                    steps.begin(now_ns)
                if now_ns >= flushes.next_ns:
                    flushes.begin(now_ns)
                    self._account(now_ns)
            except OSError as error:
                self._disk_failed(error)
                return False
            received = signals.wait_until(self._pace.next_ns(time.monotonic_ns()))
            if received is None:
                continue
            if self._command is not None:
                self._command.pass_on(received)
            if received.ends:
                signals_seen += 1
                # A command ends by itself on its signal; asked twice, we stop anyhow.
                if self._command is None or signals_seen > 1:
                    self.interrupted = True
                    return signals_seen > 1

    def _scan(self, now_ns: int) -> bool:
        """Attaches new workers and closes ended ones; False when nothing is left."""
        workers = self._tree.scan()
        if workers is not self._scanned or self._tree.executed:
            self._scanned = workers
            self._take_over(workers, now_ns)
        if self._command is not None:
            return self._command.exit_code is None
        return any((one.pid, one.start_ticks) not in self._headless for one in workers)

    def _take_over(self, workers: Iterable[Worker], now_ns: int) -> None:
        found = {(w.pid, w.start_ticks): w for w in workers}
        for key in [key for key in self._attached if key not in found]:
            self._attached.pop(key).detach(now_ns, self._exit_of(key[0]))
        for key in [key for key in self._attached if key[0] in self._tree.executed]:
            self._attached.pop(key).detach(now_ns, "became another program (exec)")
        for key, worker in found.items():
            if key in self._attached and worker.why_not == HEADLESS:
                self._attached.pop(key).detach(now_ns, "its main thread has ended")
                self._headless.add(key)
                loss = Loss("what it did since then", HEADLESS, worker.remedy or "", worker.pid)
                self._losses.append(loss)
            if key in self._attached:
                self._attached[key].play(worker)
                continue
            if key in self._headless:
                continue
            if worker.why_not is None:
                self._skipped.pop(key, None)  # it can be attached after all
                self._coming[key] = worker
            elif worker.runtime is not None or worker.why_not == HEADLESS:
                # Processes without a runtime are no loss; they are not even workers.
                self._skipped.setdefault(key, (worker, now_ns))
        self._coming = {key: one for key, one in self._coming.items() if key in found}
        self._share_out()

    def _attach_some(self) -> None:
        """Attaches those that wait for it, for a moment: the others are watched meanwhile."""
        before_ns = time.process_time_ns()
        # where looks are rare, half of the time between two of them: else many take very long
        until_ns = time.monotonic_ns() + max(_ATTACHING_NS, self._pace.tick_ns // 2)
        begun: list[Attachment] = []
        while self._coming and (not begun or time.monotonic_ns() < until_ns):
            key = next(iter(self._coming))
            begun.append(self._attach(key, self._coming.pop(key), time.monotonic_ns()))
        self._spend(time.monotonic_ns())
        for one in begun:
            one.step(time.monotonic_ns())
        self._share_out()
        spent_ns = time.process_time_ns() - before_ns
        self._attaching_ns += spent_ns
        self._pace.leave_out(spent_ns)

    def _share_out(self) -> None:
        """What looks for new things may use is divided among those who are attached now."""
        share = routine_share(len(self._attached))
        for one in self._attached.values():
            one.allow(share)

    def _exit_of(self, pid: int) -> str:
        code = self._command.exit_code if self._command and self._command.pid == pid else None
        return "exited" if code is None else f"exited with code {code}"

    def _attach(self, key: tuple[int, int], worker: Worker, now_ns: int) -> Attachment:
        before = [one for one in self._everyone if one.pid == worker.pid]  # it has called exec
        sampler = make_sampler(
            chosen(self._options.sampler, blocking=self._options.blocking),
            worker,
            self._writer,
            blocking=self._options.blocking,
            first_segment=sum(len(one.sampler.segments) for one in before),
            may_spend=self._purse.may_spend,
            inspect=self._options.inspect,
        )
        room = Room(self._options.budget, self._sampled)
        one = Attachment(worker, sampler, self._oracles, self._writer, room, now_ns)
        self._attached[key] = one
        self._everyone.append(one)
        if (loss := self.roots.open(worker)) is not None:
            self._losses.append(loss)
        one.adjust(self._options.rate_hz, self._share())
        return one

    def _sharing(self) -> int:
        """How many share the budget: those who are still to be attached, too."""
        return len(self._attached) + len(self._coming)

    def _share(self) -> float:
        share = self._options.budget.share(self._sharing())
        return share * _CROWDED if self._pace.crowded else share

    def _spend(self, now_ns: int) -> None:
        """Counts what the samplers have used lately; those that use too much pause."""
        window_ns, share = self._purse.window_ns, self._share()
        cpu_ns = sum(one.sampler.cpu_ns() for one in self._everyone)
        spent_ns = self._spent.note(now_ns, cpu_ns, window_ns)
        self._purse.count(now_ns, spent_ns, share * max(1, self._sharing()))
        for one in self._attached.values():
            if one.sampler.immediate:
                continue  # it has nothing to pause, and its looks are the observer's
            if self._purse.has_to_pause(one.sampling_ns(now_ns, window_ns), share):
                one.sampler.pause(now_ns)
                one.adjust(self._options.rate_hz, share)

    def _step(self, now_ns: int) -> int:
        """Lets samplers go on; when it is time for the next step, from this one on."""
        self._spend(now_ns)
        attached = set(self._attached.values())
        alive = [one for one in self._everyone if one in attached or not one.sampler.done]
        begin = self._turn if self._turn < len(alive) else 0
        self._turn = begin + _STEPPED
        for one in alive[begin : self._turn]:
            one.step(now_ns)
        stalls = sum(one.stalls for one in self._everyone)
        elapsed_s = (now_ns - self._start_ns) / NS
        self._progress(Progress(elapsed_s, len(self._attached), self._looks, stalls))
        calm = len(alive) <= _STEPPED and all(one.sampler.immediate for one in alive)
        return _CALM_STEP_NS if calm else _STEP_NS

    def _account(self, now_ns: int) -> None:
        """Once a second: rates by measured cost, memory, and everything known to disk."""
        for one in self._attached.values():
            one.adjust(self._options.rate_hz, self._share())
        self._peak_rss = max(self._peak_rss, sum(one.sampler.rss_bytes() for one in self._everyone))
        self._pace.account(now_ns, time.process_time_ns())
        self._writer.flush()
        self._writer.meta["flushed_ns"] = now_ns
        self._save()

    def _finish(self, signals: Signals, *, at_once: bool) -> None:
        """Ends the samplers and waits for what they still write."""
        now_ns = self._end_ns = time.monotonic_ns()
        deadline_ns = now_ns + _STOP_WITHIN_NS
        for one in self._everyone:
            one.sampler.stop(now_ns)
        while not all(one.sampler.done for one in self._everyone):
            if at_once or now_ns > deadline_ns:
                for one in self._everyone:
                    one.sampler.kill()
            if now_ns > deadline_ns + _STOP_WITHIN_NS:
                break  # killed, and still there: stuck in the kernel
            received = signals.wait_until(time.monotonic_ns() + NS // 100)
            now_ns = time.monotonic_ns()
            if received is not None and received.ends:
                self.interrupted = at_once = True
            for one in self._everyone:
                try:
                    one.step(now_ns)
                except OSError as error:
                    self._disk_failed(error)

    def _close(self) -> None:
        now_ns = time.monotonic_ns()
        for one in self._attached.values():
            one.release()
        if self.disk_error is not None:
            what = "everything after the capture could not go on"
            self._losses.append(Loss(what, self.disk_error, self.disk_remedy))
        asked_ns, slowest_ns = self._pace.asked_ns, self._pace.slowest_ns
        if slowest_ns > asked_ns:
            why = f"up to {slowest_ns // 10**6} ms apart instead of {asked_ns // 10**6} ms"
            self._losses.append(Loss("some looks of the oracles", why, "record fewer workers"))
        own_ns = time.process_time_ns() - self._start_cpu_ns
        cpu_ns = own_ns + sum(one.sampler.cpu_ns() for one in self._everyone)
        own_rss = meta.own_peak_rss_bytes()
        self._writer.meta["end_ns"] = self._end_ns or now_ns
        self._writer.meta["cost"] = {
            "cpu_s": round(cpu_ns / NS, 4),
            "cpu_share": round(cpu_ns / max(1, now_ns - self._start_ns), 4),
            "observer_cpu_s": round(own_ns / NS, 4),
            "attaching_cpu_s": round(self._attaching_ns / NS, 4),
            "peak_rss_mb": own_rss and round((own_rss + self._peak_rss) / 1e6, 1),
        }
        self._fill_meta()
        self._writer.close()

    def _save(self) -> None:
        self._fill_meta()
        self._writer.save_meta()

    def _fill_meta(self) -> None:
        losses = self._losses + [loss for one in self._everyone for loss in one.losses]
        unseen_ns = sum(end_ns - start_ns for start_ns, end_ns in self._pace.gaps)
        if unseen_ns > NS:  # less is told without being called a loss
            what = f"{unseen_ns / NS:.1f} s of the oracles' looks"
            why = "waitspy itself did not run"
            losses.append(Loss(what, why, "do not stop it, and give it CPU"))
        for worker, _ in self._skipped.values():
            why = worker.why_not or "it cannot be attached"
            what = f"the whole process ({worker.command})"
            losses.append(Loss(what, why, worker.remedy or "", worker.pid))
        skipped = [meta.worker_row(worker, seen_ns) for worker, seen_ns in self._skipped.values()]
        self._writer.meta["looks"] = self._looks
        self._writer.meta["gaps"] = self._pace.gaps
        self._writer.meta["workers"] = [one.row for one in self._everyone] + skipped
        self._writer.meta["segments"] = [
            row.as_json() for one in self._everyone for row in one.sampler.segments
        ]
        self._writer.meta["losses"] = [
            {name: value for name, value in asdict(loss).items() if value not in (None, ())}
            for loss in losses
        ]

    def _first_meta(self) -> dict[str, Any]:
        return {
            "clock": meta.clock(self._start_ns),
            "host": meta.host(),
            "target": self._options.target,
            "sampler": chosen(self._options.sampler, blocking=self._options.blocking),
            "rate_hz": self._options.rate_hz,
            "tick_s": self._pace.asked_ns / NS,
            "min_stall_s": self._options.min_stall_s,
            "waitspy": __version__,
        }
