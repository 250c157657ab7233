"""Watches the tree of processes below given roots: who is there, who appeared, who is gone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from waitspy.kernel import procfs
from waitspy.model.processes import Worker
from waitspy.target import access, node, roles, runtimes
from waitspy.target.interpreter import Interpreter

NO_RUNTIME = "neither a Python nor a Node.js process"
ZOMBIE = "a zombie: it has ended and its parent has not collected it"
HEADLESS = "its main thread has ended, and the kernel shows nothing of the others without it"
KERNEL_THREAD = "a kernel thread"
STARTING = "exec is loading its program just now"
FOREIGN = frozenset({NO_RUNTIME, ZOMBIE, KERNEL_THREAD})
"""The values of ``why_not`` of what cannot be profiled at all."""

_KEEP_THE_HEAD = "let its main thread wait for the others (Thread.join) instead of ending"

_SETTLED_S = 0.1
"""A fork younger than this may be about to exec another program."""

_WALK_EVERY_S = 5.0
"""A full walk now and then finds what the cheap look missed (reused pids, adopted orphans)."""

_FIRST_LOOK_AGAIN_S, _LAST_LOOK_AGAIN_S = 0.2, 30.0
"""Wait before looking again at what could not be attached; it doubles each time."""


@dataclass(slots=True)
class _Entry:
    """What is remembered of one process between two looks."""

    stat: procfs.Stat
    argv: tuple[str, ...]
    runs: Interpreter | None
    why_not: str | None
    remedy: str | None
    look_again_at_s: float
    look_again_after_s: float
    cpu_ns: int | None = None
    """What it had run when it was looked at; None: it is to be looked at again, in any case."""


class Tree:
    """The processes at and below ``roots`` (pids), this process and its own children left out
    unless they are roots.

    Not for use from several threads. A look costs about 30 µs for each known process and 20 µs
    for each process started meanwhile anywhere on the machine; every few seconds 10 µs more for
    each thread (measured on Linux 6.18).
    """

    def __init__(self, roots: Iterable[int], taken_as: str | None = None) -> None:
        self.roots = tuple(dict.fromkeys(roots))
        self.taken_as = taken_as
        """What the target was taken for, where it could have meant something else."""
        self.workers: tuple[Worker, ...] = ()
        """What the last look saw."""
        self.executed: frozenset[int] = frozenset()
        """The processes known before that had called exec by the last look: same pid and start,
        another program. What was attached to them is attached to nothing."""
        self._entries: dict[int, _Entry] = {}
        self._facts: list[tuple[object, ...]] = []
        self._members: list[roles.Member] = []
        self._parts: Mapping[int, roles.Part] = {}
        self._ended: set[tuple[int, int]] = set()
        self._listed: set[int] = set()
        self._put_off: set[int] = set()
        self._last_pid: bytes | None = None
        self._walk_at_s = 0.0

    def scan(self) -> tuple[Worker, ...]:
        """Looks at the tree now; parents before children, () when everything has ended.

        A worker is the same one as before while pid and start_ticks are. All else can change:
        role, title, threads, and ``why_not``, which becomes None when a process turns out to
        run Python or Node.js, or attachable, after all. Where nothing has, it is the same tuple.
        Processes that outlive their parent stay in the tree.
        A process first seen as a zombie is listed as such; one that was known alive is gone as
        soon as it is a zombie, and HEADLESS where others of its threads go on. A fork that may
        be about to exec is left for the next look, except in the first.
        """
        now_s = time.monotonic()
        self._refresh(now_s)
        for pid, stat in self._newcomers(now_s).items():
            self._add(pid, stat, now_s)
        self.workers = self._workers()
        return self.workers

    # --- the known ones

    def _refresh(self, now_s: float) -> None:
        stand = {pid for pid, entry in self._entries.items() if _stands(pid, entry, now_s)}
        known = set(self._entries)
        executed = self._refresh_those(known - stand, now_s)
        gone = known - self._entries.keys()
        # those whose parent has ended have another one, though they did not run
        orphans = {pid for pid in stand if self._entries[pid].stat.ppid in gone}
        executed |= self._refresh_those(orphans, now_s)
        self.executed = frozenset(executed)

    def _refresh_those(self, pids: Iterable[int], now_s: float) -> set[int]:
        """Looks at known ones; gives those that have called exec."""
        now = procfs.stats(pids)
        executed_now: set[int] = set()
        for pid in pids:
            entry, stat = self._entries[pid], now.get(pid)
            if stat is None or stat.start_ticks != entry.stat.start_ticks:
                del self._entries[pid]
                continue
            if stat.headless:
                entry.cpu_ns = None
                if entry.stat.headless:  # else the others may only be ending, too
                    entry.why_not, entry.remedy = HEADLESS, _KEEP_THE_HEAD
                entry.stat = stat
                continue
            if stat.zombie and entry.why_not != ZOMBIE:
                self._ended.add((pid, stat.start_ticks))
                del self._entries[pid]
                continue
            if stat.in_exec and not entry.stat.in_exec:
                entry.cpu_ns = None
                continue  # half of a program is neither the old one nor the new one
            # rights that come or go hide or show the image; that is no exec
            executed = None not in {stat.image, entry.stat.image} and stat.image != entry.stat.image
            begun = executed or entry.stat.in_exec
            wait_s = _FIRST_LOOK_AGAIN_S if begun else entry.look_again_after_s * 2
            try:
                argv = procfs.read_cmdline(pid)
                if begun or (entry.why_not and now_s >= entry.look_again_at_s):
                    self._entries[pid] = _examine(stat, argv, now_s, wait_s)
                    executed_now.update({pid} if executed else ())
                else:
                    entry.stat, entry.argv = stat, argv
            except _ExecError:
                entry.cpu_ns = None
                continue
            except (ProcessLookupError, PermissionError):
                del self._entries[pid]
        return executed_now

    # --- the new ones

    def _newcomers(self, now_s: float) -> dict[int, procfs.Stat]:
        """Processes of the tree that are not known yet."""
        last_pid = _last_pid()
        first = not self._listed
        if now_s >= self._walk_at_s:
            self._walk_at_s = now_s + _WALK_EVERY_S
            self._listed = procfs.pids()
            found = self._walk(self.roots if first else self._entries)
        elif last_pid is not None and last_pid == self._last_pid and not self._put_off:
            return {}
        else:
            listed = procfs.pids()
            new = (listed - self._listed) | _given(self._last_pid, last_pid, listed)
            found = self._attached(procfs.stats(new - self._entries.keys()))
            self._listed = listed
        self._last_pid = last_pid
        settled = {pid: stat for pid, stat in found.items() if first or not self._unsettled(stat)}
        self._put_off = found.keys() - settled.keys()
        self._listed -= self._put_off
        return settled

    def _walk(self, tops: Iterable[int]) -> dict[int, procfs.Stat]:
        """Those at or below ``tops``, by the kernel's lists of children."""
        found: dict[int, procfs.Stat] = {}
        waiting = list(tops)
        seen = {os.getpid()} - set(self.roots)
        while waiting:
            pid = waiting.pop(0)
            if pid in seen:
                continue
            seen.add(pid)
            if pid not in self._entries:
                stat = procfs.stats([pid]).get(pid)
                if stat is None or not self._wanted(stat):
                    continue
                found[pid] = stat
            waiting.extend(procfs.children(pid))
        return found

    def _attached(self, stats: dict[int, procfs.Stat]) -> dict[int, procfs.Stat]:
        """Those of ``stats`` that are below a known process."""
        found: dict[int, procfs.Stat] = {}
        grown = True
        while grown:
            grown = False
            for pid, stat in stats.items():
                below = stat.ppid in self._entries or stat.ppid in found
                if below and pid not in found and pid not in self._entries and self._wanted(stat):
                    found[pid] = stat
                    grown = True
        return found

    def _wanted(self, stat: procfs.Stat) -> bool:
        """Whether it is not a zombie whose end was told already."""
        return (stat.pid, stat.start_ticks) not in self._ended

    def _unsettled(self, stat: procfs.Stat) -> bool:
        if stat.in_exec:
            return True
        parent = self._entries.get(stat.ppid)
        if parent is None or stat.image is None or stat.image != parent.stat.image:
            return False
        return procfs.age_s(stat.start_ticks) < _SETTLED_S

    def _add(self, pid: int, stat: procfs.Stat, now_s: float) -> None:
        try:
            argv = procfs.read_cmdline(pid)
            self._entries[pid] = _examine(stat, argv, now_s, _FIRST_LOOK_AGAIN_S)
        except _ExecError:
            self._entries[pid] = _examine_once(replace(stat, in_exec=True), argv, now_s, 0)
        except (ProcessLookupError, PermissionError):
            return

    # --- the result

    def _workers(self) -> tuple[Worker, ...]:
        facts = [_told(pid, entry) for pid, entry in self._entries.items()]
        if facts == self._facts:
            return self.workers
        self._facts = facts
        members = [
            roles.Member(pid, e.stat.ppid, e.argv, _plain(e.runs), e.stat.image)
            for pid, e in self._entries.items()
        ]
        if members != self._members:
            self._members, self._parts = members, roles.assign(members)
        parts = self._parts
        return tuple(
            Worker(
                pid=pid,
                ppid=entry.stat.ppid,
                role=parts[pid].role,
                command=" ".join(entry.argv) or entry.stat.name,
                start_ticks=entry.stat.start_ticks,
                python=_version(entry.runs, of_node=False),
                node=_version(entry.runs, of_node=True),
                framework=parts[pid].framework,
                threads=entry.stat.threads,
                why_not=entry.why_not,
                remedy=entry.remedy,
            )
            for pid, entry in ((pid, self._entries[pid]) for pid in self._order())
        )

    def _order(self) -> list[int]:
        """The known pids, each parent followed by what is below it."""
        below: dict[int, list[int]] = {}
        tops = []
        for pid, entry in self._entries.items():
            if entry.stat.ppid in self._entries and entry.stat.ppid != pid:
                below.setdefault(entry.stat.ppid, []).append(pid)
            else:
                tops.append(pid)
        order: list[int] = []
        waiting = sorted(tops, reverse=True)
        while waiting:
            pid = waiting.pop()
            order.append(pid)
            waiting.extend(sorted(below.get(pid, ()), reverse=True))
        return order


def _told(pid: int, entry: _Entry) -> tuple[object, ...]:
    """All of a process that goes into what a look tells."""
    stat = entry.stat
    told = stat.ppid, stat.start_ticks, stat.image, stat.threads, stat.name
    return pid, told, entry.argv, entry.runs, entry.why_not, entry.remedy


def _version(runs: Interpreter | None, *, of_node: bool) -> str | None:
    """The version of what it runs, if that is Node.js, or else if it is not."""
    return runs.version if runs and (runs.implementation == node.NAME) == of_node else None


def _plain(runs: Interpreter | None) -> str | None:
    """What a program is called of which nothing but its runtime is known."""
    if runs is None:
        return None
    return roles.NODE if runs.implementation == node.NAME else roles.PLAIN


def _stands(pid: int, entry: _Entry, now_s: float) -> bool:
    """Whether it has not run since it was looked at: so it is the same program, with as many
    threads, under the same title. What could not be attached may be let in by others.
    """
    before, entry.cpu_ns = entry.cpu_ns, _cpu_ns(pid)
    same = before is not None and entry.cpu_ns == before
    return same and not (entry.why_not and now_s >= entry.look_again_at_s)


def _cpu_ns(pid: int) -> int | None:
    """What a process has run so far; None once it is gone."""
    with suppress(OSError):
        return time.clock_gettime_ns(procfs.cpu_clock(pid))
    return None


def _given(before: bytes | None, now: bytes | None, listed: set[int]) -> set[int]:
    """Those whose number was given since: numbers go up, and start again from the lowest, so that
    a new process may have the number of one that was seen before and has ended.
    """
    if before is None or now is None:
        return listed
    if int(now) < int(before):
        return {pid for pid in listed if not int(now) < pid <= int(before)}
    return {pid for pid in listed if int(before) < pid <= int(now)}


def _last_pid() -> bytes | None:
    """The number last given to a new process or thread here; None where the kernel hides it.

    While it stands still, nothing new was started in this pid namespace.
    """
    try:
        with open(f"{procfs.PROC}/loadavg", "rb", buffering=0) as file:
            return file.read().split()[-1]
    except (OSError, IndexError):
        return None


class _ExecError(Exception):
    """A process called exec while it was examined: what was read is of two programs."""


def _examine(
    stat: procfs.Stat, argv: tuple[str, ...], now_s: float, again_after_s: float
) -> _Entry:
    """What the process runs and whether it can be attached.

    Raises ProcessLookupError when it is gone, PermissionError when even that is hidden,
    _ExecError when it is another program by the end.
    """
    entry = _examine_once(stat, argv, now_s, again_after_s)
    if procfs.read_stat(stat.pid).image != stat.image:
        raise _ExecError
    return entry


def _examine_once(
    stat: procfs.Stat, argv: tuple[str, ...], now_s: float, again_after_s: float
) -> _Entry:
    again_after_s = min(again_after_s, _LAST_LOOK_AGAIN_S)
    entry = _Entry(stat, argv, None, None, None, now_s + again_after_s, again_after_s)
    if stat.headless:
        entry.why_not, entry.remedy = HEADLESS, _KEEP_THE_HEAD
        return entry
    if stat.zombie:
        entry.why_not, entry.remedy = ZOMBIE, "nothing to do: it does no work any more"
        return entry
    if stat.kernel_thread:
        entry.why_not, entry.remedy = KERNEL_THREAD, "name the server's own process"
        return entry
    if stat.in_exec:
        entry.why_not, entry.remedy = STARTING, "try again"
        return entry
    try:
        entry.runs = runtimes.identify(stat.pid)
    except PermissionError:
        may = access.may_attach(stat.pid)
        entry.why_not = may.why or "this user may not see what it runs"
        entry.remedy = may.remedy or access.grant_here()
        return entry
    if entry.runs is None:
        entry.why_not, entry.remedy = NO_RUNTIME, "nothing to do: it has no stacks that can be read"
        return entry
    may = access.may_attach(stat.pid)
    entry.why_not = entry.runs.why_not or may.why
    entry.remedy = entry.runs.remedy or may.remedy
    return entry
