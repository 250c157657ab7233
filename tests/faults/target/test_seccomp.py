"""A server runs under a seccomp filter that forbids it to look into processes, as in a container.

The filter binds the server and not waitspy: it is recorded like any other.
"""

from __future__ import annotations

from pathlib import Path

from tests.faults.target.served import blocks, lost, prelude, recorded, served, untouched, watched
from waitspy.kernel import procfs

# struct sock_fprog: load the number of the call; EPERM for those, else allowed.
FILTER = """
import ctypes, os, platform, struct
libc = ctypes.CDLL(None, use_errno=True)
calls = {"x86_64": (101, 310, 312, 438), "aarch64": (117, 270, 272, 438)}[platform.machine()]
steps = [(0x20, 0, 0, 0)]
steps += [(0x15, len(calls) - n, 0, number) for n, number in enumerate(calls)]
steps += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
whole = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_char_p(whole), 0, 0) == 0, os.strerror(ctypes.get_errno())
assert libc.ptrace(0x4206, os.getppid(), 0, 0) == -1 and ctypes.get_errno() == 1
"""
"""PR_SET_NO_NEW_PRIVS, then PR_SET_SECCOMP: ptrace, process_vm_readv, kcmp, pidfd_getfd."""


def test_the_servers_filter_does_not_bind_waitspy(tmp_path: Path) -> None:
    with served(by=prelude(FILTER)) as server:
        assert procfs.read_status(server.pid).seccomp == 2
        told = recorded(tmp_path, server.pid)
        untouched(server.pid)
    blocks(tmp_path, told, server.pid)
    watched(told, server.pid)
    assert lost(told) == []
