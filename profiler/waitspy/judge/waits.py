"""The catalogue of waits: how a blocked thread's frames, call and system call name its wait.

To teach waitspy a wait, add one line here. Frames are looked at first: the outermost row that
matches within the library frames at the end of the stack wins, so ``Queue.get`` names the wait
although its leaf is ``Condition.wait``. Then the call on the leaf's source line, since C functions
are no frames. Last the system call alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from waitspy.model.waits import WaitKind


@dataclass(frozen=True, slots=True)
class FrameRow:
    """Matches a frame by the end of its file and its unqualified function names.

    ``leaf`` demands that it is the last frame, ``inner`` that the next frame is one of these.
    """

    kind: WaitKind
    call: str
    file: str
    functions: frozenset[str]
    leaf: bool = False
    inner: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CallRow:
    """Matches the dotted call on the source line, and the system call unless that is empty."""

    kind: WaitKind
    pattern: re.Pattern[str]
    syscalls: frozenset[str]


def _frame(kind: WaitKind, call: str, file: str, names: str, **more: object) -> FrameRow:
    leaf, inner = bool(more.get("leaf")), frozenset(str(more.get("inner", "")).split())
    return FrameRow(kind, call, file, frozenset(names.split()), leaf, inner)


def _call(kind: WaitKind, pattern: str, names: str = "") -> CallRow:
    return CallRow(kind, re.compile(rf"(?:^|\.)(?:{pattern})\Z"), frozenset(names.split()))


_K = WaitKind
ASGIREF = "/asgiref/current_thread_executor.py"
"""The one file outside of the standard library in which threads wait by frames of their own."""

FRAMES: tuple[FrameRow, ...] = (
    _frame(_K.POOL_IDLE, "concurrent.futures worker", "concurrent/futures/thread.py",
           "_worker", leaf=True),
    _frame(_K.POOL_IDLE, "concurrent.futures worker", "concurrent/futures/process.py",
           "_process_worker", inner="get"),
    _frame(_K.POOL_IDLE, "multiprocessing.pool worker", "multiprocessing/pool.py",
           "worker", inner="get"),
    _frame(_K.FUTURE, "Future.result", "concurrent/futures/_base.py", "result exception"),
    _frame(_K.FUTURE, "concurrent.futures.wait", "concurrent/futures/_base.py",
           "wait as_completed"),
    _frame(_K.FUTURE, "Executor.map", "concurrent/futures/_base.py", "result_iterator"),
    _frame(_K.FUTURE, "async_to_sync", ASGIREF, "run_until_future"),
    _frame(_K.FUTURE, "multiprocessing.Pool.apply", "multiprocessing/pool.py", "apply"),
    _frame(_K.FUTURE, "multiprocessing.Pool.map", "multiprocessing/pool.py", "map starmap"),
    _frame(_K.FUTURE, "multiprocessing.pool.AsyncResult.get", "multiprocessing/pool.py",
           "get wait"),
    _frame(_K.FUTURE, "multiprocessing.Pool.imap", "multiprocessing/pool.py", "next"),
    _frame(_K.JOIN, "multiprocessing.Pool.join", "multiprocessing/pool.py", "join"),
    _frame(_K.JOIN, "Executor.shutdown", "concurrent/futures/thread.py", "shutdown"),
    _frame(_K.JOIN, "Executor.shutdown", "concurrent/futures/process.py", "shutdown"),
    _frame(_K.SUBPROCESS, "subprocess.run", "/subprocess.py",
           "run call check_call check_output getoutput getstatusoutput"),
    _frame(_K.SUBPROCESS, "Popen.communicate", "/subprocess.py", "communicate"),
    _frame(_K.SUBPROCESS, "Popen.wait", "/subprocess.py", "wait _wait _try_wait"),
    _frame(_K.SUBPROCESS, "Process.join", "multiprocessing/process.py", "join"),
    _frame(_K.DNS, "socket.getaddrinfo", "/socket.py", "getaddrinfo getfqdn gethostbyaddr"),
    _frame(_K.DNS, "socket.getaddrinfo", "/socket.py", "create_connection",
           inner="getaddrinfo"),
    _frame(_K.SOCKET, "socket.create_connection", "/socket.py", "create_connection"),
    _frame(_K.QUEUE, "multiprocessing.Queue.get", "multiprocessing/queues.py", "get"),
    _frame(_K.QUEUE, "multiprocessing.Queue.put", "multiprocessing/queues.py", "put"),
    _frame(_K.QUEUE, "Connection.recv", "multiprocessing/connection.py",
           "recv recv_bytes poll wait"),
    _frame(_K.QUEUE, "queue.Queue.get", "/queue.py", "get"),
    _frame(_K.QUEUE, "queue.Queue.put", "/queue.py", "put"),
    _frame(_K.QUEUE, "queue.Queue.join", "/queue.py", "join"),
    _frame(_K.JOIN, "Thread.join", "/threading.py", "join"),
    _frame(_K.LOCK, "Event.wait", "/threading.py", "wait", inner="wait"),
    _frame(_K.LOCK, "Barrier.wait", "/threading.py", "wait", inner="_wait _enter"),
    _frame(_K.LOCK, "Semaphore.acquire", "/threading.py", "acquire"),
    _frame(_K.LOCK, "Condition.wait", "/threading.py", "wait wait_for"),
    _frame(_K.LOCK, "multiprocessing lock", "multiprocessing/synchronize.py",
           "acquire wait __enter__"),
    _frame(_K.SOCKET, "socket.recv_into", "/socket.py", "readinto"),
    _frame(_K.SOCKET, "socket.accept", "/socket.py", "accept"),
    _frame(_K.SOCKET, "socket.sendfile", "/socket.py", "sendfile"),
    _frame(_K.SOCKET, "SSLSocket", "/ssl.py",
           "read recv recv_into send sendall do_handshake unwrap write"),
    _frame(_K.SOCKET, "selectors.select", "/selectors.py", "select"),
    _frame(_K.FILE, "logging", "/logging/__init__.py", "emit flush"),
    *(_frame(_K.SUBPROCESS, f"child_process.{name}", "/node:child_process", name)
      for name in ("execFileSync", "execSync", "spawnSync")),
    *(_frame(_K.FILE, f"fs.{name}", "/node:fs", name)
      for name in ("readFileSync", "writeFileSync", "appendFileSync", "copyFileSync", "cpSync",
                   "openSync", "closeSync", "readSync", "readvSync", "writeSync", "writevSync",
                   "fsyncSync", "fdatasyncSync", "readdirSync", "statSync", "lstatSync",
                   "existsSync", "mkdirSync", "renameSync", "rmSync", "unlinkSync",
                   "truncateSync", "ftruncateSync", "realpathSync")),
)  # fmt: skip

_NAP = "clock_nanosleep nanosleep select pselect6 restart_syscall"
_NET = "recvfrom recvmsg read poll ppoll select pselect6 readv epoll_wait epoll_pwait"

CALLS: tuple[CallRow, ...] = (
    _call(_K.SLEEP, r"sleep", _NAP),
    _call(_K.LOCK, r"execute\w*|commit|rollback", "clock_nanosleep nanosleep"),  # sqlite busy
    _call(_K.DNS, r"getaddrinfo|gethostby\w+|getnameinfo|getfqdn"),
    _call(_K.SUBPROCESS, r"wait|waitpid|waitid|wait3|wait4|system|communicate", "wait4 waitid"),
    _call(_K.LOCK, r"acquire|__enter__|wait|wait_for", "futex"),
    _call(_K.QUEUE, r"get|put", "futex"),
    _call(_K.FUTURE, r"result|exception", "futex"),
    _call(_K.JOIN, r"join|_wait_for_tstate_lock", "futex"),
    _call(_K.SOCKET, r"connect\w*|create_connection", "connect poll select ppoll pselect6"),
    _call(_K.SOCKET, r"accept", "accept accept4 poll ppoll select pselect6"),
    _call(_K.SOCKET, r"send\w*|write|flush", "sendto sendmsg poll ppoll"),
    _call(_K.SOCKET, r"recv\w*|read\w*|execute\w*|fetch\w*|query|get|post|put|request|urlopen",
          _NET.replace(" read ", " ")),
    _call(_K.SOCKET, r"select|poll", _NET),
    _call(_K.FILE, r"fsync|fdatasync|flock|lockf|open|truncate|sync"),
    _call(_K.FILE, r"print|write\w*|flush|read\w*|input",
          "read write pread64 pwrite64 readv writev"),
)  # fmt: skip

SYSCALLS: dict[str, WaitKind] = {
    **dict.fromkeys(("clock_nanosleep", "nanosleep"), _K.SLEEP),
    **dict.fromkeys(("futex", "semop", "semtimedop"), _K.LOCK),
    **dict.fromkeys(("wait4", "waitid"), _K.SUBPROCESS),
    **dict.fromkeys(("fsync", "fdatasync", "flock", "sync", "openat"), _K.FILE),
    **dict.fromkeys(
        (
            "connect", "accept", "accept4", "recvfrom", "recvmsg", "recvmmsg", "sendto",
            "sendmsg", "sendmmsg", "poll", "ppoll", "select", "pselect6", "epoll_wait",
            "epoll_pwait", "epoll_pwait2",
        ),
        _K.SOCKET,
    ),
}  # fmt: skip
