"""waitspy with something taken away before its first line: system calls, files of /proc."""

from __future__ import annotations

import errno
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.live.running import WAITSPY

Denied = tuple[str, int | None]
"""A system call, and the first argument with which it is denied (None: all)."""

_NUMBERS = {
    "x86_64": {
        "process_vm_readv": 310, "socket": 41, "pidfd_open": 434, "pidfd_getfd": 438, "kcmp": 312,
        "prctl": 157, "clone": 56, "fork": 57, "vfork": 58, "clone3": 435,
    },
    "aarch64": {
        "process_vm_readv": 270, "socket": 198, "pidfd_open": 434, "pidfd_getfd": 438, "kcmp": 272,
        "prctl": 167, "clone": 220, "clone3": 435,
    },
}[platform.machine()]  # fmt: skip

_FILTER = """
import ctypes, os, struct, sys
rules, argv = eval(sys.argv[1]), sys.argv[2:]
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
code = []
for number, first, errno in rules:
    if first is not None:
        code += [(LOAD, 0, 0, 16), (EQUAL, 0, 3, first)]  # seccomp_data.args[0]
    code += [(LOAD, 0, 0, 0), (EQUAL, 0, 1, number), (RETURN, 0, 0, 0x50000 | errno)]
code += [(RETURN, 0, 0, 0x7FFF0000)]
packed = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(packed)))
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2
for call in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, FILTER, program, 0, 0)):
    if libc.prctl(*call):
        sys.exit(os.strerror(ctypes.get_errno()))
os.execv(argv[0], argv)
"""


def denied(*calls: str | Denied, number: int = errno.EPERM) -> Sequence[str]:
    """waitspy, to which the kernel answers so when it makes one of these calls (seccomp(2))."""
    pairs = [(one, None) if isinstance(one, str) else one for one in calls]
    rules = [
        (_NUMBERS[name], first and int(first), number) for name, first in pairs if name in _NUMBERS
    ]
    return [sys.executable, "-c", _FILTER, repr(rules), *WAITSPY]


def mounted(*lines: str) -> Sequence[str]:
    """waitspy in a mount namespace of its own, in which root has run these lines of shell.

    ``$$`` in them is the pid that waitspy will have. A file system that is remounted in it (not
    ``bind``) is remounted everywhere: mount another one.
    """
    script = " && ".join([*lines, 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *WAITSPY]


def quoted(path: object) -> str:
    return shlex.quote(str(path))


def _may_mount() -> bool:
    tried = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "mount",
        "-t",
        "tmpfs",
        "none",
        "/mnt",
    ]
    return (
        os.geteuid() == 0
        and subprocess.run(tried, capture_output=True, check=False).returncode == 0
    )


needs_mount = pytest.mark.skipif(not _may_mount(), reason="may not mount")
