"""The ``threads`` oracle: what the kernel says of every thread of a worker.

One row per change: in which system call a thread is blocked, its state letter, and what it has
run. Files and fields: proc(5) of Linux man-pages 6, ``syscall``, ``stat`` and ``schedstat`` of
``/proc/PID/task/TID``; schedstat's numbers are in Documentation/scheduler/sched-stats.rst.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from waitspy.kernel import procfs
from waitspy.kernel.freezer import Freezer, FreezerFile, Said
from waitspy.model import syscalls
from waitspy.model.oracle_names import THREADS
from waitspy.oracles import Watched
from waitspy.recording.rows import RowType
from waitspy.recording.threads import ThreadRow

_RESERVED_FDS = 100

_AT_ONCE = 256
"""Threads of one process that are all looked at in every tick."""

_LATELY_NS = 300_000_000  # who has run, may do so again


class _Files:
    """The files of one thread's folder, kept open while there are descriptors to spare.

    Reading an open one costs 1.3 µs, opening it each time ten times that.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._open: dict[str, int] = {}

    def read(self, name: str, size: int) -> bytes:
        """The beginning of a file; raises OSError once the thread has ended."""
        fd = self._open.get(name)
        if fd is None:
            fd = os.open(f"{self._folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            if fd > _spare_fds():
                try:
                    return os.pread(fd, size, 0)
                finally:
                    os.close(fd)
            self._open[name] = fd
        return os.pread(fd, size, 0)

    def close(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()


def _spare_fds() -> int:
    """The highest descriptor to keep: the samplers and the recording need some as well."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _RESERVED_FDS


_Said = tuple[str, int | None, int | None, int | None, int | None]
"""What a row says beside its time and thread."""


@dataclass(slots=True)
class _Thread:
    """One thread's files, how much it had run when they were read, and its last row.

    ``marks`` has the number of switches, too, which is in no row: that there is another row, though
    the same, says that it has run. ``ran_ns`` is when it was last seen to, ``used_ns`` the CPU time
    that it had used then.
    """

    files: _Files
    ran_ns: int = 0
    used_ns: int = 0
    marks: bytes = b""
    last: tuple[bytes, _Said] | None = None
    runnable: bool = True


@dataclass(slots=True)
class _WatchedThreads:
    """``unseen`` threads may have run since they were looked at; ``turn`` is whose turn is next.

    ``lately`` are those that run or have run lately. All threads had used ``used_ns`` of CPU time
    when they were read, others that have ended ``rest_ns``, if that is known.
    """

    freezer: Freezer
    clock: int
    frozen: bool = False
    threads: dict[int, _Thread] = field(default_factory=dict)
    lately: dict[int, _Thread] = field(default_factory=dict)
    used_ns: int = 0
    rest_ns: int | None = None
    unseen: int = 0
    turn: int = 0
    links: int = -1
    rescan: bool = True


class ThreadsOracle:
    """Watches the threads of all workers; a thread that did not run costs one read."""

    name: ClassVar[str] = THREADS
    rows: ClassVar[RowType] = ThreadRow

    def __init__(self) -> None:
        self._processes: dict[int, _WatchedThreads] = {}
        self._frozen: dict[FreezerFile, Said] = {}
        self._epoll_waits = syscalls.epoll_waits()
        self._has_schedstat = _tells_run_time()

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or the reason when the first thread's system call cannot be read."""
        try:
            with open(f"{watched.proc}/task/{watched.pid}/syscall", "rb") as f:
                f.read()
        except FileNotFoundError:
            if os.path.exists(f"{watched.proc}/task/{watched.pid}"):
                return "this kernel has no /proc/PID/task/TID/syscall"
            return "the process is gone"
        except OSError as error:
            return f"/proc/{watched.pid}/task/*/syscall: {error.strerror}"
        freezer = Freezer(watched.pid, self._frozen)
        process = _WatchedThreads(freezer, procfs.cpu_clock(watched.pid))
        self._processes[watched.pid] = process
        watched.stood = partial(self._stood, process)
        return "ok"

    def _stood(self, process: _WatchedThreads, tid: int) -> bool:
        thread = process.threads.get(tid)
        try:
            return thread is not None and self._marks(thread) == thread.marks
        except OSError:  # it has ended
            return False

    def _marks(self, thread: _Thread) -> bytes:
        """What changes whenever it runs."""
        if self._has_schedstat:
            return thread.files.read("schedstat", 64)
        return procfs.switch_counts(thread.files.read("status", 4096))

    def tick(self, watched: Watched, now_ns: int) -> Iterator[ThreadRow]:
        """Rows of the threads that ran, changed or ended since the last tick."""
        rows: list[ThreadRow] = []
        process = self._processes.get(watched.pid)
        if process is not None:
            self._tick(process, watched, now_ns, rows)
        return iter(rows)

    def _tick(
        self, process: _WatchedThreads, watched: Watched, now_ns: int, rows: list[ThreadRow]
    ) -> None:
        frozen = not watched.ran and process.freezer.holds(now_ns)
        changed, process.frozen = frozen != process.frozen, frozen
        by_clock = (  # whether the process's clock tells that nobody else can have run, or begun
            not (watched.was_due or changed or process.rescan or process.rest_ns is None)
            and len(process.threads) <= _AT_ONCE
        )
        if watched.ran:
            if not by_clock:
                self._rediscover(process, watched, now_ns, rows)
            process.unseen = len(process.threads)
        if not (process.unseen > 0 or watched.was_due or watched.running or changed):
            watched.rests_until_ns = process.freezer.next_ns
            return
        process.unseen -= _AT_ONCE
        if changed:
            for thread in process.threads.values():
                thread.marks = b""  # it is in another state, though it did not run
            self._told(process, process.threads, watched, now_ns, rows)
        elif watched.was_due or len(process.threads) > _AT_ONCE or not self._has_schedstat:
            self._told(process, _due(process, watched, now_ns), watched, now_ns, rows)
        else:
            again = watched.ran and by_clock
            self._who_ran(process, watched, now_ns, rows, rediscovers=again)

    def _who_ran(
        self,
        process: _WatchedThreads,
        watched: Watched,
        now_ns: int,
        rows: list[ThreadRow],
        *,
        rediscovers: bool,
    ) -> None:
        """Rows of those that have run lately, and of the others only if one of them may have.

        A process's clock is the sum of what its threads have used. If it says no more than what
        those used that were asked before it, nobody else has run until then: no new one either, and
        none has ended. With ``rediscovers`` these are looked for only else.
        """
        self._told(process, process.lately, watched, now_ns, rows)
        asked = process.lately
        if process.rest_ns is None or self._rest_ns(process) != process.rest_ns:
            if rediscovers:
                self._rediscover(process, watched, now_ns, rows)
            asked = process.threads
            others = {tid: one for tid, one in asked.items() if tid not in process.lately}
            self._told(process, others, watched, now_ns, rows)
            process.rest_ns = self._rest_ns(process, again=True)
        process.lately = {
            tid: one
            for tid, one in asked.items()
            if one.runnable or now_ns - one.ran_ns < _LATELY_NS
        }

    def _rest_ns(self, process: _WatchedThreads, *, again: bool = False) -> int | None:
        """What the process has used beside what its threads had when they were read; None: not
        known. With ``again``, those of lately are read again: the others took a while.
        """
        used_ns = process.used_ns
        try:
            for one in process.lately.values() if again else ():
                used_ns += int(self._marks(one).split()[0]) - one.used_ns
            return time.clock_gettime_ns(process.clock) - used_ns
        except OSError:  # a thread has ended, or the process
            return None

    def _told(
        self,
        process: _WatchedThreads,
        due: Mapping[int, _Thread],
        watched: Watched,
        now_ns: int,
        rows: list[ThreadRow],
    ) -> None:
        """Rows of those of these threads that ran, changed or ended."""
        for tid, thread in list(due.items()):
            try:
                said = self._read(process, tid, thread, watched, now_ns)
            except OSError:  # ESRCH: the thread ended
                self._drop(process, tid, watched)
                process.rescan = True
                rows.append(ThreadRow(now_ns, tid, "X"))
                continue
            if said is not None and (thread.marks, said) != thread.last:
                thread.last = thread.marks, said
                rows.append(ThreadRow(now_ns, tid, *said))

    def detach(self, watched: Watched) -> None:
        """Closes the files of that worker."""
        process = self._processes.pop(watched.pid, None)
        for tid in list(process.threads) if process else ():
            assert process is not None
            self._drop(process, tid, watched)

    def _rediscover(
        self, process: _WatchedThreads, watched: Watched, now_ns: int, rows: list[ThreadRow]
    ) -> None:
        # The link count of the task folder is its number of threads + 2, and far cheaper to
        # read than the folder; births and deaths in one tick are seen by a failing read.
        try:
            links = os.stat(f"{watched.proc}/task").st_nlink
            if links == process.links and not process.rescan:
                return
            tids = {int(name) for name in os.listdir(f"{watched.proc}/task")}
        except OSError:
            tids = set()
            links = -1
        first, process.links, process.rescan = process.links < 0, links, False
        watched.tids = tids
        for tid in process.threads.keys() - tids:
            self._drop(process, tid, watched)
            rows.append(ThreadRow(now_ns, tid, "X"))
        for tid in tids - process.threads.keys():
            files = _Files(f"{watched.proc}/task/{tid}")
            process.threads[tid] = _Thread(files, 0 if first else now_ns)

    def _read(
        self, process: _WatchedThreads, tid: int, thread: _Thread, watched: Watched, now_ns: int
    ) -> _Said | None:
        marks = self._marks(thread)
        if marks == thread.marks and not thread.runnable and not watched.was_due:
            return None
        moved = marks != thread.marks
        if moved:
            thread.ran_ns = now_ns
        thread.marks = marks
        call = thread.files.read("syscall", 256)
        number: int | None = None
        arg0: int | None = None
        if call == b"running\n":  # it is so only in that state: task_current_syscall, lib/syscall.c
            state = "R"
        else:
            if parts := call.split():
                number = int(parts[0])
                arg0 = int(parts[1], 16) if len(parts) > 3 else None
            stat = thread.files.read("stat", 512)
            at = stat.rfind(b")") + 2
            state = stat[at : at + 1].decode("ascii", "replace") or "?"
            if process.frozen and state not in "ZX":
                state = "T"  # it looks asleep, but waits for nothing of its own either
        thread.runnable = number is None or state == "R"
        # A stopped thread still shows the call it was in, but waits for nothing but SIGCONT.
        self._tell(tid, watched, None if state in "Tt" else number, arg0)
        if moved or tid not in watched.blocked_since_ns:
            watched.blocked_since_ns[tid] = now_ns
            watched.moved.add(tid)
            watched.stirred.add(tid)
        if self._has_schedstat:
            ran, queued = marks.split()[:2]
            ran_ns, queued_ns = int(ran), int(queued)
            process.used_ns += ran_ns - thread.used_ns
            thread.used_ns = ran_ns
            return state, number, arg0, ran_ns, queued_ns
        return state, number, arg0, None, None

    def _tell(self, tid: int, watched: Watched, number: int | None, arg0: int | None) -> None:
        watched.polling.pop(tid, None)
        watched.blocked.pop(tid, None)
        watched.running.discard(tid)
        if number is None:
            watched.running.add(tid)
            return
        watched.blocked[tid] = number, arg0 or 0
        if number in self._epoll_waits and arg0 is not None:
            watched.polling[tid] = arg0

    def _drop(self, process: _WatchedThreads, tid: int, watched: Watched) -> None:
        thread = process.threads.pop(tid)
        thread.files.close()
        process.lately.pop(tid, None)
        process.used_ns -= thread.used_ns
        process.rest_ns = None
        watched.polling.pop(tid, None)
        watched.blocked.pop(tid, None)
        watched.blocked_since_ns.pop(tid, None)
        watched.moved.add(tid)
        watched.stirred.discard(tid)
        watched.running.discard(tid)


def _due(process: _WatchedThreads, watched: Watched, now_ns: int) -> Mapping[int, _Thread]:
    """Whom to look at in this tick: all, or of very many those that matter and some of the others
    in turn.

    One that stands still for long is then seen to go on a few ticks late.
    """
    everyone = list(process.threads.items())
    if len(everyone) <= _AT_ONCE:
        return process.threads
    matter = {watched.pid, *watched.suspects, *watched.polling, *watched.running}
    chosen = {
        tid: thread
        for tid, thread in everyone
        if tid in matter or now_ns - thread.ran_ns < _LATELY_NS
    }
    chosen.update(everyone[process.turn : process.turn + _AT_ONCE])
    process.turn += _AT_ONCE
    if process.turn >= len(everyone):
        process.turn = 0
    return chosen


def _tells_run_time() -> bool:
    """Whether this kernel counts in schedstat; some do not have it, in others it reads zero."""
    with suppress(OSError), open("/proc/self/schedstat", "rb") as f:
        return f.read().split()[:1] not in ([], [b"0"])
    return False
