"""Examines the machine and the rights of this user, by trying what profiling needs."""

from __future__ import annotations

import errno
import os
import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from waitspy.kernel import calls, descriptors, procfs
from waitspy.target import access

Status = Literal["ok", "warn", "fail", "unknown"]

_SLOW_READ_US = 100.0
"""A read of /proc/PID/stat took 5 to 12 µs on Linux 6.18; far beyond that looks get expensive."""

_READS = 200
_DISK_TIGHT_MB, _DISK_FULL_MB = 500, 20
"""Free space that makes a long recording doubtful, and any recording pointless: our choice."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was examined: what was found, and what to change unless it is ok.

    ``unknown`` means that it could not be examined. Texts are plain and one line each.
    """

    name: str
    status: Status
    found: str
    remedy: str | None = None


def examine_machine() -> tuple[Check, ...]:
    """Every check that needs no target."""
    return tuple(safely(name, check) for name, check in _CHECKS)


def safely(name: str, check: Callable[[], Check]) -> Check:
    """The check's result; ``unknown`` when the system refused to let it look."""
    try:
        return check()
    except (OSError, ValueError) as error:
        return Check(name, "unknown", f"could not be examined: {procfs.shown(str(error))}")


def _system() -> Check:
    name = f"{platform.system()} {platform.release()} on {platform.machine()}"
    return Check("system", "ok", name)


def _user() -> Check:
    uid = os.geteuid()
    who = "root" if uid == 0 else f"user {uid}"
    if procfs.read_status(os.getpid()).has_capability(procfs.CAP_SYS_PTRACE):
        return Check("user", "ok", f"{who} with CAP_SYS_PTRACE")
    return Check(
        "user",
        "warn",
        f"{who} without CAP_SYS_PTRACE: at most this user's own processes can be profiled",
        access.grant_here(),
    )


def _cpus() -> Check:
    count = os.cpu_count()
    usable = len(os.sched_getaffinity(0))
    found = f"{usable} of {count} usable" if usable != count else f"{count} usable"
    if usable == 1:
        return Check(
            "cpus",
            "warn",
            f"{found}: waitspy competes with its target for it",
            "record with a low --rate, such as 20",
        )
    return Check("cpus", "ok", found)


def _disk() -> Check:
    where = os.getcwd()
    facts = os.statvfs(where)
    free_mb = facts.f_bavail * facts.f_frsize / 1e6
    found = f"{free_mb:,.0f} MB free in {procfs.shown(where)}"
    elsewhere = "record to another place with --output"
    if not os.access(where, os.W_OK):
        return Check("disk", "warn", f"{procfs.shown(where)} is not writable", elsewhere)
    if free_mb < _DISK_FULL_MB:
        return Check("disk", "fail", found, elsewhere)
    return (
        Check("disk", "warn", found, elsewhere)
        if free_mb < _DISK_TIGHT_MB
        else Check("disk", "ok", found)
    )


def _container() -> Check:
    if not access.contained():
        return Check("container", "ok", "none: waitspy sees the processes of the host")
    if procfs.namespace(os.getpid(), "pid") == access.INITIAL_PID_NAMESPACE:
        return Check("container", "ok", "in a container that shares the host's processes")
    return Check(
        "container",
        "ok",
        "in a container: only its own processes can be seen",
        "to profile another container, share its processes: docker run --pid=container:NAME, "
        "Kubernetes shareProcessNamespace: true",
    )


def _yama() -> Check:
    scope = access.read_yama()
    if scope is None:
        return Check("yama", "ok", "not in this kernel, or hidden: no limit seen")
    found = f"kernel.yama.ptrace_scope is {scope}"
    capable = procfs.read_status(os.getpid()).has_capability(procfs.CAP_SYS_PTRACE)
    if scope == 0 or (scope in {1, 2} and capable):
        return Check("yama", "ok", found)
    if scope == 3:
        return Check("yama", "fail", found + ": no ptrace at all", "boot with a lower value")
    return Check(
        "yama",
        "fail",
        found + ": processes that waitspy's user owns cannot be looked into either",
        "run waitspy with sudo, or sudo sysctl kernel.yama.ptrace_scope=0",
    )


def _seccomp() -> Check:
    mode = procfs.read_status(os.getpid()).seccomp
    if mode is None:
        return Check("seccomp", "unknown", "the kernel does not say")
    found = {0: "no filter", 1: "strict mode", 2: "a filter is in force"}.get(mode, f"mode {mode}")
    return Check("seccomp", "ok", found + (": see the system calls below" if mode else ""))


def _hidepid() -> Check:
    with open(f"{procfs.PROC}/self/mounts", "rb") as file:
        mounts = [line.split(b" ") for line in file.read().splitlines()]
    options = [row[3] for row in mounts if len(row) > 3 and row[1] == b"/proc"]
    if not options:
        return Check("hidepid", "fail", "/proc is not mounted", "mount -t proc proc /proc")
    match = re.search(r"hidepid=(\w+)", procfs.text(options[-1]))
    value = match[1] if match else "0"
    if value in {"0", "off"}:
        return Check("hidepid", "ok", "every process shows in /proc")
    status: Status = "ok" if os.geteuid() == 0 else "warn"
    return Check(
        "hidepid",
        status,
        f"/proc hides the processes of others (hidepid={value})",
        None if status == "ok" else "run waitspy with sudo",
    )


def _system_call(name: str, call: Callable[[], object], lost: str, newer: str) -> Check:
    """Whether a system call works on waitspy itself, where no right is needed."""
    try:
        call()
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return Check(name, "fail", f"not in this kernel or sandbox: {lost}", newer)
        if error.errno in {errno.EPERM, errno.EACCES}:
            return Check(
                name,
                "fail",
                f"refused by a seccomp filter or security module: {lost}",
                access.grant(contained=True, kubernetes=access.in_kubernetes()),
            )
        return Check(name, "unknown", f"{error.strerror}: {lost}")
    return Check(name, "ok", "works")


def _process_vm_readv() -> Check:
    return _system_call(
        "process_vm_readv",
        lambda: calls.process_vm_readv(os.getpid(), [id(None)], [1], bytearray(1)),
        "neither stacks nor pending work can be read",
        "use a Linux kernel with CONFIG_CROSS_MEMORY_ATTACH",
    )


def _pidfd_getfd() -> Check:
    reader, writer = os.pipe()
    try:
        return _system_call(
            "pidfd_getfd",
            lambda: os.close(descriptors.duplicate(os.getpid(), reader)),
            "I/O that waits for a loop cannot be seen; stacks are recorded all the same",
            "use Linux 5.6 or newer",
        )
    finally:
        os.close(reader)
        os.close(writer)


def _kcmp() -> Check:
    pid = os.getpid()
    reader, writer = os.pipe()
    try:
        found = _system_call(
            "kcmp",
            lambda: calls.kcmp_file(pid, reader, pid, reader),
            "forks that share an event loop's descriptor cannot be told apart for certain",
            "use a Linux kernel with CONFIG_KCMP",
        )
    finally:
        os.close(reader)
        os.close(writer)
    # Without it waitspy falls back on what the processes do: no reason to fail.
    return Check(found.name, "warn", found.found, found.remedy) if found.status == "fail" else found


def _schedstat() -> Check:
    try:
        ran_ns = int(procfs.read(os.getpid(), "schedstat").split()[0])
    except (ProcessLookupError, IndexError):
        ran_ns = 0
    if ran_ns:
        return Check("schedstat", "ok", "counts CPU time")
    return Check(
        "schedstat",
        "warn",
        "counts nothing here: whether a thread ran is told by its context switches",
        "use a kernel with CONFIG_SCHED_INFO",
    )


def _proc_speed() -> Check:
    start_ns = time.perf_counter_ns()
    for _ in range(_READS):
        procfs.read(os.getpid(), "stat")
    each_us = (time.perf_counter_ns() - start_ns) / 1000 / _READS
    found = f"{each_us:.0f} µs for each read of /proc"
    if each_us > _SLOW_READ_US:
        return Check(
            "proc-speed",
            "warn",
            found + ": looks will be less frequent",
            "record with a low --rate",
        )
    return Check("proc-speed", "ok", found)


_CHECKS: tuple[tuple[str, Callable[[], Check]], ...] = (
    ("system", _system),
    ("user", _user),
    ("cpus", _cpus),
    ("disk", _disk),
    ("container", _container),
    ("yama", _yama),
    ("seccomp", _seccomp),
    ("hidepid", _hidepid),
    ("process_vm_readv", _process_vm_readv),
    ("pidfd_getfd", _pidfd_getfd),
    ("kcmp", _kcmp),
    ("schedstat", _schedstat),
    ("proc-speed", _proc_speed),
)
