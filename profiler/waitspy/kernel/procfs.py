"""Reads what Linux says of one process under /proc.

The ``parse_*`` functions are pure and take the file's bytes. Everything else takes a pid and
raises ProcessLookupError when that process is gone, PermissionError when this user may not look.
Text is always valid Unicode: bytes that are not UTF-8 become U+FFFD.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from waitspy.model.clock import NS

PROC = "/proc"
"""Where the kernel mounts it; a constant so that messages and paths agree."""

KERNEL_THREAD_FLAG = 0x0020_0000
"""PF_KTHREAD of include/linux/sched.h, in field 9 of /proc/PID/stat."""

CAP_SYS_PTRACE = 19
"""Bit number in the CapEff mask, from include/uapi/linux/capability.h."""

_SHOWN_CHARACTERS = 80
_TICKS_HZ = os.sysconf("SC_CLK_TCK")  # in which /proc/PID/stat counts: proc_pid_stat(5)

NAMESPACES = ("mnt", "pid", "net", "user")


@dataclass(frozen=True, slots=True)
class Stat:
    """/proc/PID/stat as far as it is used; ``image`` tells programs apart.

    ``image`` holds the addresses of its code and stack, None to those who may not see them and
    while there are none: a fork has its parent's, exec draws new ones. ``start_ticks`` are clock
    ticks after boot.
    """

    pid: int
    name: str
    state: str
    ppid: int
    kernel_thread: bool
    threads: int
    start_ticks: int
    image: tuple[int, int] | None
    in_exec: bool = False
    """Whether exec is loading its program just now (or the process is ending): what is mapped
    already is not all, and the address of the code is set last, together with the stack's
    final one (load_elf_binary in Linux's fs/binfmt_elf.c)."""

    @property
    def zombie(self) -> bool:
        """Whether it has ended and only waits to be collected by its parent, or is headless."""
        return self.state in "ZX"

    @property
    def headless(self) -> bool:
        """Whether its main thread has ended, but others of it are still there."""
        return self.zombie and self.threads > 1


@dataclass(frozen=True, slots=True)
class Status:
    """/proc/PID/status as far as it is used; None where this kernel does not say.

    ``uids`` and ``gids`` are the real, effective, saved and filesystem user and group, ``groups``
    the supplementary ones, as this process's user namespace numbers them; ``pids`` are its
    numbers from the outermost pid namespace that /proc shows to the innermost; ``cap_eff`` is
    the mask of effective capabilities; ``seccomp`` 0 off, 1 strict, 2 filtered.
    ``peak_rss_bytes`` is the most memory that it had at once, since it called exec last.
    """

    name: str
    tgid: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    groups: tuple[int, ...]
    pids: tuple[int, ...]
    cap_eff: int
    threads: int | None
    seccomp: int | None
    tracer_pid: int | None
    peak_rss_bytes: int | None = None

    def has_capability(self, bit: int) -> bool:
        """Whether that capability is effective (in the process's own user namespace)."""
        return bool(self.cap_eff >> bit & 1)


# --- pure ------------------------------------------------------------------------------------


def text(raw: bytes) -> str:
    """The bytes as valid Unicode text."""
    return raw.decode("utf-8", "replace")


def shown(value: str) -> str:
    """A text of a target for a message: one line, printable, at most 80 characters."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 1] + "…"


def parse_stat(raw: bytes) -> Stat:
    """The process of one /proc/PID/stat line; its name may hold spaces, parentheses, newlines.

    Raises ValueError when the line is not complete.
    """
    opening, closing = raw.find(b"("), raw.rfind(b")")
    fields = raw[closing + 1 :].split()
    if opening < 0 or closing < opening or len(fields) < 26:
        raise ValueError(f"not a line of /proc/PID/stat: {raw[:80]!r}")
    # fields[0] is field 3 of proc_pid_stat(5): field n is fields[n - 3]
    code, stack = int(fields[23]), int(fields[25])
    kernel_thread = bool(int(fields[6]) & KERNEL_THREAD_FLAG)
    state = text(fields[0])
    return Stat(
        pid=int(raw[:opening]),
        name=text(raw[opening + 1 : closing]),
        state=state,
        ppid=int(fields[1]),
        kernel_thread=kernel_thread,
        threads=int(fields[17]),
        start_ticks=int(fields[19]),
        image=(code, stack) if code and stack else None,
        # who may not see the addresses sees 1 for the code (fs/proc/array.c)
        in_exec=not code and not kernel_thread and state not in "ZX",
    )


def parse_status(raw: bytes) -> Status:
    """The facts of /proc/PID/status; raises ValueError when its name or users are missing."""
    rows = dict(line.split(b":\t", 1) for line in raw.split(b"\n") if b":\t" in line)

    def number(key: bytes) -> int | None:
        value = rows.get(key)
        return None if value is None else int(value)

    try:
        tgid = int(rows[b"Tgid"])
        return Status(
            name=text(rows[b"Name"]),
            tgid=tgid,
            uids=tuple(int(uid) for uid in rows[b"Uid"].split()),
            gids=tuple(int(gid) for gid in rows[b"Gid"].split()),
            groups=tuple(int(gid) for gid in rows.get(b"Groups", b"").split()),
            pids=tuple(int(pid) for pid in rows.get(b"NSpid", rows[b"Tgid"]).split()),
            cap_eff=int(rows.get(b"CapEff", b"0"), 16),
            threads=number(b"Threads"),
            seccomp=number(b"Seccomp"),
            tracer_pid=number(b"TracerPid"),
            peak_rss_bytes=_bytes(rows.get(b"VmHWM")),
        )
    except KeyError as missing:
        raise ValueError(f"/proc/PID/status without {missing}") from missing


def _bytes(told: bytes | None) -> int | None:
    """What /proc/PID/status tells in kB."""
    return None if told is None else int(told.split()[0]) * 1024


def parse_cmdline(raw: bytes) -> tuple[str, ...]:
    """The arguments; () for a kernel thread or a zombie.

    A process that rewrote its title leaves one argument followed by padding: both are cut.
    """
    raw = raw.rstrip(b"\0")
    return tuple(text(argument) for argument in raw.split(b"\0")) if raw else ()


def parse_namespace(link: str) -> int | None:
    """The inode of a link such as ``net:[4026531833]``; None when it is something else."""
    digits = link.partition(":[")[2].removesuffix("]")
    return int(digits) if digits.isdigit() else None


def parse_timens_offsets(raw: bytes) -> int:
    """Nanoseconds by which CLOCK_MONOTONIC is ahead of the machine's (time_namespaces(7))."""
    for line in raw.splitlines():
        name, seconds, nanoseconds = line.split()
        if name == b"monotonic":
            return int(seconds) * NS + int(nanoseconds)
    raise ValueError(f"no clock is told of in {raw!r}")


def parse_socket(link: str) -> int | None:
    """The inode of a link such as ``socket:[1234]``; None when it is something else."""
    return parse_namespace(link) if link.startswith("socket:[") else None


def parse_pipe(link: str) -> int | None:
    """The inode of a link such as ``pipe:[1234]``; None when it is something else."""
    return parse_namespace(link) if link.startswith("pipe:[") else None


def switch_counts(status: bytes) -> bytes:
    """How often a thread was switched, by its status file: that changes whenever it runs."""
    at = status.find(b"voluntary_ctxt_switches:")
    if at < 0:
        return b"0 0"
    return b" ".join(line.split(b":")[1].strip() for line in status[at:].splitlines()[:2])


def cpu_clock(pid: int) -> int:
    """The clock id of a process's CPU time: the kernel's MAKE_PROCESS_CPUCLOCK(pid, SCHED).

    include/linux/posix-timers_types.h, Linux 6.12.
    """
    return (~pid << 3) | 2


# --- one process -----------------------------------------------------------------------------


@contextlib.contextmanager
def _vanishing(pid: int) -> Iterator[None]:
    """One error for a process that is gone: /proc says ENOENT at open and ESRCH at read."""
    try:
        yield
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError) as gone:
        raise ProcessLookupError(f"process {pid} is gone") from gone


def read(pid: int, name: str) -> bytes:
    """All bytes of /proc/PID/NAME."""
    with _vanishing(pid), open(f"{PROC}/{pid}/{name}", "rb", buffering=0) as file:
        return file.readall() or b""


def link(pid: int, name: str) -> str:
    """Where the link /proc/PID/NAME points, as text."""
    with _vanishing(pid):
        return text(os.readlink(f"{PROC}/{pid}/{name}".encode()))


def age_s(start_ticks: int) -> float:
    """How long ago a process began that says that it did at this time."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start_ticks / _TICKS_HZ


def open_root(pid: int) -> int:
    """A descriptor of the process's root, in which its paths are meant; the caller closes it."""
    with _vanishing(pid):
        return os.open(f"{PROC}/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def read_stat(pid: int) -> Stat:
    """Name, state, parent and start of the process."""
    return parse_stat(read(pid, "stat"))


def is_fork(pid: int) -> bool:
    """Whether it is a fork of its parent that has not called exec; False where nobody can know."""
    stat = stats([pid]).get(pid)
    parent = None if stat is None else stats([stat.ppid]).get(stat.ppid)
    if stat is None or parent is None:
        return False
    return stat.image is not None and stat.image == parent.image


_FUTEX_COMMAND = 0x7F  # include/uapi/linux/futex.h: without its flags
_FUTEX_WAITS = frozenset({0, 9})  # FUTEX_WAIT, FUTEX_WAIT_BITSET


def futex_timeout(pid: int, tid: int) -> bool:
    """Whether a thread that is blocked in a futex waits with a timeout: futex(2), argument 4."""
    parts = read(pid, f"task/{tid}/syscall").split()
    return len(parts) < 5 or int(parts[4], 16) != 0


def futex_value(pid: int, tid: int) -> int | None:
    """While what value is in its word a thread waits that is blocked in a futex; None where it does
    something else there: futex(2), arguments 2 and 3.
    """
    parts = read(pid, f"task/{tid}/syscall").split()
    if len(parts) < 4 or int(parts[2], 16) & _FUTEX_COMMAND not in _FUTEX_WAITS:
        return None
    return int(parts[3], 16) & 0xFFFFFFFF


def read_status(pid: int) -> Status:
    """Users, capabilities and namespaced numbers of the process."""
    return parse_status(read(pid, "status"))


def read_cmdline(pid: int) -> tuple[str, ...]:
    """The command's arguments."""
    return parse_cmdline(read(pid, "cmdline"))


def owner(pid: int) -> int:
    """The user id that owns the files of /proc/PID: root for a process that is not dumpable."""
    with _vanishing(pid):  # folders that anyone may list are always its user's (task_dump_owner)
        return os.stat(f"{PROC}/{pid}/stat").st_uid


def namespace(pid: int, kind: str) -> int | None:
    """The inode of one namespace (one of NAMESPACES); None when this kernel has no such kind.

    Equal inodes mean the same namespace.
    """
    try:
        return parse_namespace(link(pid, f"ns/{kind}"))
    except ProcessLookupError:
        if os.path.exists(f"{PROC}/{pid}/ns"):
            return None
        raise


def monotonic_offset_ns(pid: int) -> int:
    """How far CLOCK_MONOTONIC of its children's time namespace is ahead of the machine's.

    Raises:
        ProcessLookupError: it is gone, or the kernel has no time namespaces.
    """
    return parse_timens_offsets(read(pid, "timens_offsets"))


def sockets(pid: int) -> set[int]:
    """The inodes of the sockets that it has open."""
    found = map(parse_socket, fds(pid).values())
    return {inode for inode in found if inode is not None}


def fds(pid: int) -> dict[int, str]:
    """What each open descriptor points at; those closed meanwhile are left out."""
    with _vanishing(pid):
        numbers = os.listdir(f"{PROC}/{pid}/fd")
    links = {}
    for number in numbers:
        try:
            links[int(number)] = link(pid, f"fd/{number}")
        except ProcessLookupError:
            continue
    return links


def threads(pid: int) -> tuple[int, ...]:
    """The ids of its threads, in ascending order."""
    with _vanishing(pid):
        return tuple(sorted(int(tid) for tid in os.listdir(f"{PROC}/{pid}/task")))


def inner_tids(pid: int) -> dict[int, int]:
    """The ids of its threads, by those that they have in its own pid namespace."""
    tids = threads(pid)
    if len(read_status(pid).pids) == 1:
        return {tid: tid for tid in tids}
    found = {}
    for tid in tids:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            found[parse_status(read(pid, f"task/{tid}/status")).pids[-1]] = tid
    return found


# --- the process table -----------------------------------------------------------------------


def pids() -> set[int]:
    """Every process that this user sees."""
    return {int(name) for name in os.listdir(PROC) if name.isdigit()}


def last_made() -> bytes | None:
    """Which process or thread was made last on this machine, as /proc/loadavg tells; as long as it
    says the same, none was. None where it does not tell.
    """
    with contextlib.suppress(OSError, IndexError), open(f"{PROC}/loadavg", "rb") as file:
        return file.read().split()[4]
    return None


def stats(of: Iterable[int] | None = None) -> dict[int, Stat]:
    """The stat of each of these processes (default: all); those gone or hidden are left out."""
    # psutil takes twice as long, splits rewritten titles at spaces, and has no image (exec).
    found = {}
    for pid in pids() if of is None else of:
        try:
            found[pid] = read_stat(pid)
        except (ProcessLookupError, PermissionError):
            continue
    return found


def children(pid: int) -> tuple[int, ...]:
    """The direct children, in ascending order; () when the process is gone or hidden.

    Each thread has its own list of the children that it started. A kernel built without
    CONFIG_PROC_CHILDREN has none, then the whole process table is searched.
    """
    # psutil reads the whole process table for it: 6 ms on a machine of 230 processes, not 0.04.
    found: set[int] = set()
    listed = False
    try:
        for tid in threads(pid):
            try:
                found.update(int(child) for child in read(pid, f"task/{tid}/children").split())
                listed = True
            except ProcessLookupError:
                continue
    except (ProcessLookupError, PermissionError):
        return ()
    if not listed:
        found = {child for child, stat in stats().items() if stat.ppid == pid}
    return tuple(sorted(found))


def ancestors(pid: int) -> tuple[int, ...]:
    """The parent, its parent and so on, up to the last one that can be seen."""
    # It is asked for each process of a tree; psutil takes 0.7 ms each time, this 0.1 ms.
    found: dict[int, None] = {}
    try:
        parent = read_stat(pid).ppid
        while parent and parent not in found:
            found[parent] = None
            parent = read_stat(parent).ppid
    except (ProcessLookupError, PermissionError):
        pass
    return tuple(found)
