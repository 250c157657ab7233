"""Tells whether this user may look into a process, why not, and what would allow it.

Reading another process's memory and duplicating its descriptors both need what the kernel calls
PTRACE_MODE_ATTACH: the same user and a dumpable target, or CAP_SYS_PTRACE in the target's user
namespace; then Yama and seccomp may still refuse. Its files in /proc that only their owner may
open (the list of descriptors, what each thread waits in) need that user or a capability that
overrides file permissions. The question is put to the kernel without
touching the target, and the answer is explained from facts by a pure function.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from waitspy.kernel import calls, procfs

Probe = Literal["allowed", "denied", "blocked", "files", "unknown"]
"""What the kernel answered. ``blocked``: the ptrace rules allow it, but the system call that
reads memory is refused, as by a seccomp filter. ``files``: memory can be read, but not the files
in /proc that belong to the process's user."""

INITIAL_PID_NAMESPACE = 0xEFFF_FFFC
"""PROC_PID_INIT_INO of include/uapi/linux/nsfs.h: its inode on the host itself."""

INITIAL_USER_NAMESPACE = 0xEFFF_FFFD
"""PROC_USER_INIT_INO of the same file."""

YAMA = f"{procfs.PROC}/sys/kernel/yama/ptrace_scope"

_HOST = "from the host, as root, nothing has to change: give the port or the host's PID"
_DOCKER = (
    "in the container docker exec --user root, where it was started with docker run --cap-add "
    "SYS_PTRACE (beside it: --pid=container:NAME)"
)
_KUBERNETES = (
    'in the pod securityContext.capabilities.add: ["SYS_PTRACE"] (in a sidecar also '
    "shareProcessNamespace: true), or kubectl debug --profile=general --target=CONTAINER "
    "(--profile=sysadmin if that is refused)"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides about access to one process; None where the system does not say.

    ``uid`` is waitspy's effective user; ``target_uids`` the target's real, effective and saved
    ones; ``target_owner`` owns its files in /proc, and is root when the target is not dumpable.
    ``yama`` is ptrace_scope, None without Yama. ``contained``: waitspy runs in a container,
    ``kubernetes``: in one of a pod.
    """

    uid: int
    can_ptrace: bool
    target_uids: tuple[int, ...]
    target_owner: int | None
    same_user_namespace: bool | None
    descendant: bool
    yama: int | None
    contained: bool
    probe: Probe
    kubernetes: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """Whether a process may be looked into; if not, why and what would allow it, one line each."""

    ok: bool
    why: str | None = None
    remedy: str | None = None


# --- pure ------------------------------------------------------------------------------------


def grant(*, contained: bool, kubernetes: bool = False) -> str:
    """How to get CAP_SYS_PTRACE, there."""
    if contained:
        inside = _KUBERNETES if kubernetes else _DOCKER
        return f"{_HOST}; or with CAP_SYS_PTRACE, {inside}"
    return "run waitspy with sudo, or as a user with CAP_SYS_PTRACE"


def decide(facts: Facts) -> Access:
    """The verdict; the kernel's own answer to the probe counts, the other facts explain it."""
    if facts.probe == "blocked":
        return Access(
            ok=False,
            why="a seccomp filter refuses process_vm_readv, which reads another process's memory",
            remedy=grant(contained=True, kubernetes=facts.kubernetes)
            + "; or a seccomp profile that allows process_vm_readv",
        )
    if facts.probe == "files":
        return Access(
            ok=False,
            why="it runs as another user: with CAP_SYS_PTRACE alone waitspy may read its memory, "
            "but not its files in /proc",
            remedy="run waitspy as that user, or grant it CAP_DAC_READ_SEARCH as well, which root "
            "has unless it was dropped (docker run --cap-add DAC_READ_SEARCH)",
        )
    # Under Yama 1 only ancestors may look. waitspy is one of the command that it starts itself,
    # but py-spy is a sibling of that command.
    sibling_refused = facts.yama == 1 and facts.descendant and not facts.can_ptrace
    if facts.probe != "denied" and not sibling_refused:
        return Access(ok=True)
    return _explain(facts)


def _explain(facts: Facts) -> Access:
    """Why the kernel refused; the most certain reason first."""
    allow = grant(contained=facts.contained, kubernetes=facts.kubernetes)
    if facts.yama == 3:
        return Access(
            ok=False,
            why="Yama forbids all ptrace (kernel.yama.ptrace_scope is 3), even to root",
            remedy="boot with kernel.yama.ptrace_scope below 3; it cannot be lowered while running",
        )
    if not facts.can_ptrace:
        others = sorted({*facts.target_uids[:3]} - {facts.uid})
        if others:
            return Access(
                ok=False,
                why=f"it runs as {_user(others[0])}, waitspy as {_user(facts.uid)} "
                "without CAP_SYS_PTRACE",
                remedy=allow,
            )
        if facts.target_owner is not None and facts.target_owner != facts.uid:
            return Access(
                ok=False,
                why="it is not dumpable (it changed user, gained capabilities or asked for it), "
                "and waitspy has no CAP_SYS_PTRACE",
                remedy=allow,
            )
        if facts.yama in {1, 2}:
            who = "its parents" if facts.yama == 1 else "processes with CAP_SYS_PTRACE"
            relax = "" if facts.yama == 2 else ", or sudo sysctl kernel.yama.ptrace_scope=0"
            return Access(
                ok=False,
                why=f"Yama lets only {who} look into a process "
                f"(kernel.yama.ptrace_scope is {facts.yama})",
                remedy=allow + relax,
            )
        return Access(
            ok=False,
            why="the kernel refuses: it may hold capabilities that waitspy lacks, "
            "or a security module forbids it",
            remedy=allow,
        )
    if facts.same_user_namespace is False:
        return Access(
            ok=False,
            why="it lives in another user namespace, where waitspy's CAP_SYS_PTRACE does not count",
            remedy="run waitspy on the host with sudo, or inside of the target's user namespace",
        )
    return Access(
        ok=False,
        why="the kernel refuses, as a security module (AppArmor, SELinux) may do, "
        "although waitspy has CAP_SYS_PTRACE",
        remedy="run waitspy under a profile that allows ptrace: apparmor=unconfined for a "
        "container, sudo on the host",
    )


def _user(uid: int) -> str:
    return "root" if uid == 0 else f"user {uid}"


# --- live ------------------------------------------------------------------------------------


def may_attach(pid: int) -> Access:
    """Whether this user may look into that process now. Raises ProcessLookupError if it is gone."""
    return decide(read_facts(pid))


def read_facts(pid: int) -> Facts:
    """The facts about access to that process. Raises ProcessLookupError when it is gone."""
    status = procfs.read_status(pid)
    return Facts(
        uid=os.geteuid(),
        can_ptrace=procfs.read_status(os.getpid()).has_capability(procfs.CAP_SYS_PTRACE),
        target_uids=status.uids,
        target_owner=procfs.owner(pid),
        same_user_namespace=_same_user_namespace(pid),
        descendant=os.getpid() in procfs.ancestors(pid),
        yama=read_yama(),
        contained=contained(),
        probe=probe(pid),
        kubernetes=in_kubernetes(),
    )


def read_yama() -> int | None:
    """kernel.yama.ptrace_scope; None where the kernel has no Yama or hides it."""
    try:
        with open(YAMA, "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def contained() -> bool:
    """Whether waitspy seems to run in a container."""
    try:
        inode = procfs.namespace(os.getpid(), "pid")
    except OSError:
        inode = None
    return (
        (inode is not None and inode != INITIAL_PID_NAMESPACE)
        or os.path.exists("/.dockerenv")
        or os.path.exists("/run/.containerenv")
        or in_kubernetes()
    )


def in_kubernetes() -> bool:
    """Whether waitspy seems to run in a pod."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def grant_here() -> str:
    """How to get CAP_SYS_PTRACE, where waitspy runs."""
    return grant(contained=contained(), kubernetes=in_kubernetes())


def probe(pid: int) -> Probe:
    """Asks the kernel for the right to look into the process, without touching it.

    Two questions under the same rule: reading /proc/PID/syscall, and process_vm_readv of an
    address that is never mapped, which is told only after access was granted. What is
    no longer there, or has no memory, is ``unknown``.
    """
    rules = _answer(lambda: procfs.read(pid, "syscall"))
    memory = _answer(lambda: calls.process_vm_readv(pid, [1], [1], bytearray(1)))
    if memory == "allowed":
        return "files" if rules == "denied" else "allowed"
    if memory == "denied":
        return "blocked" if rules == "allowed" else "denied"
    return rules


def _answer(ask: Callable[[], object]) -> Probe:
    try:
        ask()
    except PermissionError:
        return "denied"
    except ProcessLookupError:
        return "unknown"  # a kernel thread or a zombie has no memory
    except OSError as error:
        return "denied" if error.errno == errno.ENOSYS else "unknown"
    return "allowed"


def _same_user_namespace(pid: int) -> bool | None:
    ours = procfs.namespace(os.getpid(), "user")
    try:
        theirs = procfs.namespace(pid, "user")
    except PermissionError:
        # Who may do all in this namespace, and not even see that, is in one inside of it.
        full = procfs.read_status(os.getpid()).has_capability(procfs.CAP_SYS_PTRACE)
        return False if full and ours not in {None, INITIAL_USER_NAMESPACE} else None
    return None if theirs is None or ours is None else theirs == ours
