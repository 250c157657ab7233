"""Names are resolved inside callbacks, and the name server takes its time: argv as blocking.py.

In a network and mount namespace of its own (as root), so that the name server is ours.
Python 3.8 syntax.
"""

import contextlib
import ctypes
import fcntl
import os
import queue
import socket
import struct
import tempfile
import threading
import time

import loop_under_test

NEW_MOUNTS, NEW_NETWORK = 0x00020000, 0x40000000
PRIVATE, RECURSIVE, BIND = 1 << 18, 16384, 4096
SET_FLAGS, UP = 0x8914, 1


def check(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def move_into_namespaces():
    libc = ctypes.CDLL(None, use_errno=True)
    check(libc.unshare(NEW_MOUNTS | NEW_NETWORK))
    check(libc.mount(b"none", b"/", None, PRIVATE | RECURSIVE, None))
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write("nameserver 127.0.0.1\noptions timeout:5 attempts:1\n")
    check(libc.mount(file.name.encode(), b"/etc/resolv.conf", None, BIND, None))
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sH14s", b"lo", UP, b""))


def answer_slowly(server):
    """Says that no name exists, after the seconds that lie in the queue."""
    while True:
        question, address = server.recvfrom(512)
        time.sleep(delays.get())
        header = question[:2] + b"\x81\x83" + question[4:6] + b"\0" * 6
        server.sendto(header + question[12:], address)


def resolve(length_s):
    delays.put(length_s)
    with contextlib.suppress(OSError):
        socket.getaddrinfo("slow.invalid", 80, socket.AF_INET)  # culprit


delays = queue.SimpleQueue()
move_into_namespaces()
name_server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
name_server.bind(("127.0.0.1", 53))
threading.Thread(target=answer_slowly, args=(name_server,), daemon=True).start()
loop_under_test.run_harm({"resolve": resolve}, "blocked-loop")
