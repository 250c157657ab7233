"""What a thread was doing: named from its frames, its source line and its system call."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import (
    ARCH,
    DISPATCH,
    GIL_WORD,
    HANDLER,
    HEAP_WORD,
    PARKED,
    POLL,
    RUNTIME_SPAN,
    SOURCES,
    THREAD,
    at,
    frame,
    stack,
    states,
)
from waitspy.judge.classify import Context, calls, name_wait, source_line
from waitspy.model.stacks import Frame, Stack
from waitspy.model.threads import KernelState
from waitspy.model.waits import Wait, WaitKind

FETCH = frame("fetch@/app/client.py:41")
USER = (*DISPATCH, FETCH)
K = WaitKind


def state(what: str) -> KernelState:
    return states((0, what))[0]


def name(
    stack_: Stack,
    what: str | None,
    line: str | None = None,
    epfds: tuple[int, ...] = (),
    own: tuple[int, ...] = (),
) -> Wait:
    """The wait of a stack whose leaf is that source line, in that kernel state."""
    sources: dict[str, dict[int, str]] = {}
    leaf = stack_[-1] if stack_ else None
    if line is not None and leaf is not None and leaf.line is not None:
        sources = {leaf.file: {leaf.line: line}}
    context = Context(ARCH, sources, frozenset(epfds), RUNTIME_SPAN, frozenset(own))
    return name_wait(stack_, None if what is None else state(what), context)


# --- by frames ------------------------------------------------------------------------------------

FUTEX = f"futex {HEAP_WORD}"
BY_FRAMES: list[tuple[str, str, WaitKind, str]] = [
    ("Queue.get@lib/queue.py:171 > Condition.wait@lib/threading.py:355", FUTEX, K.QUEUE, "queue.Queue.get"),
    ("get@lib/queue.py:171 > wait@lib/threading.py:355", FUTEX, K.QUEUE, "queue.Queue.get"),
    ("Queue.put@lib/queue.py:140 > Condition.wait@lib/threading.py:355", FUTEX, K.QUEUE, "queue.Queue.put"),
    ("Queue.put@lib/multiprocessing/queues.py:89", FUTEX, K.QUEUE, "multiprocessing.Queue.put"),
    ("Queue.join@lib/queue.py:90 > Condition.wait@lib/threading.py:355", FUTEX, K.QUEUE, "queue.Queue.join"),
    ("Future.result@lib/concurrent/futures/_base.py:451 > Condition.wait@lib/threading.py:355", FUTEX, K.FUTURE, "Future.result"),
    ("wait@lib/concurrent/futures/_base.py:305 > Event.wait@lib/threading.py:655 > Condition.wait@lib/threading.py:355", FUTEX, K.FUTURE, "concurrent.futures.wait"),
    ("Executor.map.<locals>.result_iterator@lib/concurrent/futures/_base.py:619 > _result_or_cancel@lib/concurrent/futures/_base.py:317 > Future.result@lib/concurrent/futures/_base.py:451", FUTEX, K.FUTURE, "Executor.map"),
    ("CurrentThreadExecutor.run_until_future@/srv/asgiref/current_thread_executor.py:84 > Condition.wait@lib/threading.py:355", FUTEX, K.FUTURE, "async_to_sync"),
    ("CurrentThreadExecutor.run_until_future@/srv/asgiref/current_thread_executor.py:77 > Queue.get@lib/queue.py:171 > Condition.wait@lib/threading.py:355", FUTEX, K.FUTURE, "async_to_sync"),
    ("ThreadPoolExecutor.shutdown@lib/concurrent/futures/thread.py:239 > Thread.join@lib/threading.py:1119 > Thread._wait_for_tstate_lock@lib/threading.py:1139", FUTEX, K.JOIN, "Executor.shutdown"),
    ("Thread.join@lib/threading.py:1119 > Thread._wait_for_tstate_lock@lib/threading.py:1139", FUTEX, K.JOIN, "Thread.join"),
    ("Thread.join@lib/threading.py:1094", FUTEX, K.JOIN, "Thread.join"),
    ("Event.wait@lib/threading.py:655 > Condition.wait@lib/threading.py:355", FUTEX, K.LOCK, "Event.wait"),
    ("Condition.wait_for@lib/threading.py:390 > Condition.wait@lib/threading.py:355", FUTEX, K.LOCK, "Condition.wait"),
    ("Condition.wait@lib/threading.py:355", FUTEX, K.LOCK, "Condition.wait"),
    ("Semaphore.acquire@lib/threading.py:507 > Condition.wait@lib/threading.py:355", FUTEX, K.LOCK, "Semaphore.acquire"),
    ("Barrier.wait@lib/threading.py:702 > Barrier._wait@lib/threading.py:740 > Condition.wait_for@lib/threading.py:390", FUTEX, K.LOCK, "Barrier.wait"),
    ("run@lib/subprocess.py:550 > Popen.communicate@lib/subprocess.py:1209 > Popen._communicate@lib/subprocess.py:2115 > _SelectorMapping.select@lib/selectors.py:415", "poll 3", K.SUBPROCESS, "subprocess.run"),
    ("check_output@lib/subprocess.py:466 > run@lib/subprocess.py:550 > Popen.communicate@lib/subprocess.py:1196", "read 3", K.SUBPROCESS, "subprocess.run"),
    ("Popen.communicate@lib/subprocess.py:1196", "read 3", K.SUBPROCESS, "Popen.communicate"),
    ("Popen.wait@lib/subprocess.py:1264 > Popen._wait@lib/subprocess.py:2053 > Popen._try_wait@lib/subprocess.py:2011", "wait4 77", K.SUBPROCESS, "Popen.wait"),
    ("Pool.apply@lib/multiprocessing/pool.py:357 > ApplyResult.get@lib/multiprocessing/pool.py:768 > ApplyResult.wait@lib/multiprocessing/pool.py:765 > Event.wait@lib/threading.py:629 > Condition.wait@lib/threading.py:327", FUTEX, K.FUTURE, "multiprocessing.Pool.apply"),
    ("Pool.starmap@lib/multiprocessing/pool.py:367 > ApplyResult.get@lib/multiprocessing/pool.py:768", FUTEX, K.FUTURE, "multiprocessing.Pool.map"),
    ("ApplyResult.get@lib/multiprocessing/pool.py:768 > ApplyResult.wait@lib/multiprocessing/pool.py:765", FUTEX, K.FUTURE, "multiprocessing.pool.AsyncResult.get"),
    ("IMapIterator.next@lib/multiprocessing/pool.py:861 > Condition.wait@lib/threading.py:327", FUTEX, K.FUTURE, "multiprocessing.Pool.imap"),
    ("Pool.join@lib/multiprocessing/pool.py:665 > Thread.join@lib/threading.py:1112", FUTEX, K.JOIN, "multiprocessing.Pool.join"),
    ("BaseProcess.join@lib/multiprocessing/process.py:149 > Popen.wait@lib/multiprocessing/popen_fork.py:43 > Popen.poll@lib/multiprocessing/popen_fork.py:27", "wait4 77", K.SUBPROCESS, "Process.join"),
    ("Queue.get@lib/multiprocessing/queues.py:103 > Connection.recv_bytes@lib/multiprocessing/connection.py:216", "read 9", K.QUEUE, "multiprocessing.Queue.get"),
    ("_ConnectionBase.recv@lib/multiprocessing/connection.py:250 > Connection._recv_bytes@lib/multiprocessing/connection.py:430 > Connection._recv@lib/multiprocessing/connection.py:395", "read 9", K.QUEUE, "Connection.recv"),
    ("getaddrinfo@lib/socket.py:963", "poll 3", K.DNS, "socket.getaddrinfo"),
    ("create_connection@lib/socket.py:837", "connect 3", K.SOCKET, "socket.create_connection"),
    ("create_connection@lib/socket.py:827 > getaddrinfo@lib/socket.py:963", "poll 3", K.DNS, "socket.getaddrinfo"),
    ("SocketIO.readinto@lib/socket.py:707", "recvfrom 3", K.SOCKET, "socket.recv_into"),
    ("SocketIO.readinto@lib/socket.py:707 > SSLSocket.recv_into@lib/ssl.py:1253 > SSLSocket.read@lib/ssl.py:1103", "read 3", K.SOCKET, "socket.recv_into"),
    ("SSLSocket.do_handshake@lib/ssl.py:1321", "read 3", K.SOCKET, "SSLSocket"),
    ("socket.accept@lib/socket.py:295", "accept4 3", K.SOCKET, "socket.accept"),
    ("StreamHandler.emit@lib/logging/__init__.py:1168 > StreamHandler.flush@lib/logging/__init__.py:1148", "write 2", K.FILE, "logging"),
    ("Logger.info@lib/logging/__init__.py:1539 > Logger._log@lib/logging/__init__.py:1684 > Logger.handle@lib/logging/__init__.py:1700 > Logger.callHandlers@lib/logging/__init__.py:1762 > Handler.handle@lib/logging/__init__.py:1028 > FileHandler.emit@lib/logging/__init__.py:1280", "write 2", K.FILE, "logging"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("frames", "what", "kind", "call"),
    BY_FRAMES,
    ids=[f"{r[3]} {n}" for n, r in enumerate(BY_FRAMES)],
)
def test_library_frames_name_the_wait(frames: str, what: str, kind: WaitKind, call: str) -> None:
    wait = name(USER + stack(frames), what, "it = x.something(y.other())")
    assert wait == Wait(kind, call, what.split(maxsplit=1)[0])


def test_requests_through_urllib3_is_a_socket() -> None:
    deep = stack(
        "get@site/requests/api.py:73 > Session.request@site/requests/sessions.py:589"
        " > HTTPAdapter.send@site/requests/adapters.py:667"
        " > HTTPConnectionPool.urlopen@site/urllib3/connectionpool.py:787"
        " > HTTPConnection.getresponse@site/urllib3/connection.py:507"
        " > HTTPConnection.getresponse@lib/http/client.py:1428"
        " > HTTPResponse.begin@lib/http/client.py:331"
        " > HTTPResponse._read_status@lib/http/client.py:292"
        " > SocketIO.readinto@lib/socket.py:707"
    )
    assert name(USER + deep, "recvfrom 5") == Wait(K.SOCKET, "socket.recv_into", "recvfrom")


def test_only_the_library_frames_at_the_end_count() -> None:
    # A callback that runs below a library's function waits for itself.
    below = stack("run@lib/subprocess.py:550 > handler@/app/views.py:3")
    assert name(USER + below, "clock_nanosleep", "time.sleep(1)").kind is K.SLEEP


def test_a_users_function_of_the_same_name_is_not_the_librarys() -> None:
    assert name((*USER, frame("get@/app/queue.py:3")), FUTEX, "x = 1").call is None


def test_an_idle_pool_worker_is_pool_idle() -> None:
    worker = THREAD + stack(
        "Thread.run@lib/threading.py:1010 > _worker@lib/concurrent/futures/thread.py:89"
    )
    assert name(worker, FUTEX) == Wait(K.POOL_IDLE, "concurrent.futures worker", "futex")
    process = stack(
        "_process_worker@lib/concurrent/futures/process.py:249"
        " > Queue.get@lib/multiprocessing/queues.py:102"
    )
    assert name(process, "futex 1").kind is K.POOL_IDLE
    pool = stack(
        "worker@lib/multiprocessing/pool.py:114 > SimpleQueue.get@lib/multiprocessing/queues.py:386"
    )
    assert name(pool, "read 4").kind is K.POOL_IDLE


def test_a_pool_worker_at_work_is_not_idle() -> None:
    job = THREAD + stack(
        "Thread.run@lib/threading.py:1010 > _worker@lib/concurrent/futures/thread.py:92"
        " > _WorkItem.run@lib/concurrent/futures/thread.py:58 > job@/app/job.py:3"
    )
    assert name(job, "clock_nanosleep", "time.sleep(3)") == Wait(
        K.SLEEP, "time.sleep", "clock_nanosleep"
    )


# --- by the source line ---------------------------------------------------------------------------

BY_LINE: list[tuple[str, str, WaitKind, str | None]] = [
    ("time.sleep(backoff)", "clock_nanosleep", K.SLEEP, "time.sleep"),
    ("sleep(0.5)", "clock_nanosleep", K.SLEEP, "sleep"),
    ("time.sleep(random.random())", "clock_nanosleep", K.SLEEP, "time.sleep"),
    ("time.sleep(x)", "select 0", K.SLEEP, "time.sleep"),
    ("item = self.queue.get()", FUTEX, K.QUEUE, "self.queue.get"),
    ("self.queue.put(item)", FUTEX, K.QUEUE, "self.queue.put"),
    ("rows = conn.execute(sql)", "clock_nanosleep", K.LOCK, "conn.execute"),
    ("conn.commit()", "clock_nanosleep", K.LOCK, "conn.commit"),
    ("cur.execute(sql)", "poll 5", K.SOCKET, "cur.execute"),
    ("row = cur.fetchone()", "recvfrom 5", K.SOCKET, "cur.fetchone"),
    ("lock.acquire()", FUTEX, K.LOCK, "lock.acquire"),
    ("if not self._lock.acquire(timeout=3):", FUTEX, K.LOCK, "self._lock.acquire"),
    ("value = future.result()", FUTEX, K.FUTURE, "future.result"),
    ("thread.join()", FUTEX, K.JOIN, "thread.join"),
    ("os.waitpid(pid, 0)", "wait4 7", K.SUBPROCESS, "os.waitpid"),
    ("os.system('make')", "wait4 7", K.SUBPROCESS, "os.system"),
    ("sock.connect(address)", "connect 5", K.SOCKET, "sock.connect"),
    ("data = sock.recv(4096)", "recvfrom 5", K.SOCKET, "sock.recv"),
    ("conn, peer = server.accept()", "accept4 5", K.SOCKET, "server.accept"),
    ("sock.sendall(data)", "sendto 5", K.SOCKET, "sock.sendall"),
    ("addresses = socket.getaddrinfo(host, 80)", "poll 5", K.DNS, "socket.getaddrinfo"),
    ("socket.gethostbyname(host)", FUTEX, K.DNS, "socket.gethostbyname"),
    ("os.fsync(f.fileno())", "fsync 5", K.FILE, "os.fsync"),
    ("fcntl.flock(f, fcntl.LOCK_EX)", "flock 5", K.FILE, "fcntl.flock"),
    ("with open(path) as f:", "openat 0", K.FILE, "open"),
    ("text = f.read()", "read 5", K.FILE, "f.read"),
    ("print(line)", "write 1", K.FILE, "print"),
    ("with lock:", FUTEX, K.LOCK, "with lock"),
    ("with self._lock, other:", FUTEX, K.LOCK, "with self._lock, other"),
    ("    with self.lock as held:", FUTEX, K.LOCK, "with self.lock"),
    ("library.work(x)", FUTEX, K.LOCK, "library.work"),
    ("x = 1", FUTEX, K.LOCK, None),
    ("x = 1", "read 5", K.UNKNOWN, None),
    ("foo(bar(1))", FUTEX, K.LOCK, None),
    ("a(); b()", "read 5", K.UNKNOWN, None),
    ("return native.step(1)", "io_uring_enter 3", K.UNKNOWN, "native.step"),
    ("items = sorted(queue.get() for _ in range(3))", FUTEX, K.QUEUE, "queue.get"),
]


@pytest.mark.parametrize(("line", "what", "kind", "call"), BY_LINE)
def test_the_source_line_names_the_call(
    line: str, what: str, kind: WaitKind, call: str | None
) -> None:
    assert name(USER, what, line) == Wait(kind, call, what.split(maxsplit=1)[0])


def test_several_calls_on_one_line_leave_the_call_unknown() -> None:
    assert name(USER, FUTEX, "step(one(), two())") == Wait(K.LOCK, None, "futex")


def test_what_an_executor_calls_a_c_function_by_is_no_name() -> None:
    works = THREAD + stack("_WorkItem.run@lib/concurrent/futures/thread.py:58")
    line = "result = self.fn(*self.args, **self.kwargs)"
    assert name(works, FUTEX, line) == Wait(K.LOCK, None, "futex")
    assert name(works, "openat 0", line) == Wait(K.FILE, None, "openat")


def test_a_call_that_cannot_be_in_that_system_call_is_not_named() -> None:
    # The sampled line is a little older than the kernel's state.
    assert name(USER, "recvfrom 3", "time.sleep(1)") == Wait(K.SOCKET, None, "recvfrom")
    assert name(USER, "futex 3", "time.sleep(1)") == Wait(K.LOCK, None, "futex")


def test_without_the_source_the_system_call_alone_speaks() -> None:
    assert name(USER, "clock_nanosleep") == Wait(K.SLEEP, None, "clock_nanosleep")
    assert name(USER, "futex 7") == Wait(K.LOCK, None, "futex")
    assert name(USER, "recvfrom 7") == Wait(K.SOCKET, None, "recvfrom")
    assert name(USER, "wait4 7") == Wait(K.SUBPROCESS, None, "wait4")
    assert name(USER, "fsync 7") == Wait(K.FILE, None, "fsync")
    assert name(USER, "read 7") == Wait(K.UNKNOWN, None, "read")


def test_a_system_call_that_is_not_known_stays_unknown() -> None:
    context = Context(ARCH, {}, frozenset(), RUNTIME_SPAN)
    odd = KernelState(at(0), "S", 9999, 1)
    assert name_wait(USER, odd, context) == Wait(K.UNKNOWN)


def test_a_stopped_thread_is_outside_of_any_call() -> None:
    assert name(USER, "stop", "x = 1") == Wait(K.UNKNOWN)


def test_the_machines_own_numbers_are_used() -> None:
    context = Context("aarch64", SOURCES, frozenset({5}), RUNTIME_SPAN)
    assert name_wait(POLL, KernelState(at(0), "S", 22, 5), context).kind is K.LOOP_POLL
    assert name_wait(HANDLER, KernelState(at(0), "S", 115, 0), context) == Wait(
        K.SLEEP, "time.sleep", "clock_nanosleep"
    )


def test_an_empty_stack_has_a_wait_too() -> None:
    assert name((), "futex 7") == Wait(K.LOCK, None, "futex")
    assert name((), None) == Wait(K.UNKNOWN)
    assert name((), "run") == Wait(K.ON_CPU)


# --- by the kernel --------------------------------------------------------------------------------


def test_a_running_thread_is_on_the_cpu_whatever_its_stack_shows() -> None:
    assert name(PARKED, "run") == Wait(K.ON_CPU)
    assert name(PARKED, "queue") == Wait(K.ON_CPU)


def test_the_loops_own_epoll_is_its_poll() -> None:
    assert name(POLL, "epoll_wait 5", epfds=(5,)) == Wait(K.LOOP_POLL, None, "epoll_wait")
    assert name((), "epoll_pwait 5", epfds=(5,)).kind is K.LOOP_POLL


def test_a_users_select_on_a_private_epoll_is_no_poll_of_the_loop() -> None:
    own = (*USER, frame("EpollSelector.select@lib/selectors.py:468"))
    assert name(own, "epoll_wait 9", epfds=(5,)) == Wait(K.SOCKET, "selectors.select", "epoll_wait")


def test_the_poll_of_a_known_loop_is_its_own_whatever_was_sampled_around_it() -> None:
    assert name(HANDLER, "epoll_wait 5", epfds=(5,)).kind is not K.LOOP_POLL
    assert name(HANDLER, "epoll_wait 5", epfds=(5,), own=(5,)).kind is K.LOOP_POLL
    assert name(USER, "epoll_wait 9", "events = ep.poll(3)", (5,)) == Wait(
        K.SOCKET, "ep.poll", "epoll_wait"
    )


def test_a_futex_inside_the_interpreters_globals_is_the_gil() -> None:
    assert name(USER, f"futex {GIL_WORD}", "total += 1") == Wait(K.GIL, None, "futex")
    assert name(PARKED, f"futex {GIL_WORD}").kind is K.GIL


def test_a_futex_on_the_heap_is_a_lock_of_the_program() -> None:
    assert name(USER, f"futex {HEAP_WORD}").kind is K.LOCK
    assert name(USER, f"futex {RUNTIME_SPAN[1]}").kind is K.LOCK
    assert name(USER, f"futex {RUNTIME_SPAN[0]}").kind is K.GIL


def test_without_the_runtime_span_nothing_is_called_the_gil() -> None:
    context = Context(ARCH, {}, frozenset(), None)
    assert name_wait(USER, state(f"futex {GIL_WORD}"), context).kind is K.LOCK


# --- without the kernel -----------------------------------------------------------------------------


def test_without_kernel_state_frames_still_speak() -> None:
    assert name(POLL, None) == Wait(K.LOOP_POLL)
    assert name(PARKED, None) == Wait(K.QUEUE, "queue.Queue.get")
    own = (*USER, frame("EpollSelector.select@lib/selectors.py:468"))
    assert name(own, None) == Wait(K.SOCKET, "selectors.select")


def test_the_frames_of_a_poll_are_the_loops_step_and_the_selector_in_it() -> None:
    assert name(POLL[-2:], None) == Wait(K.LOOP_POLL)
    assert name(POLL[-1:], None) == Wait(K.SOCKET, "selectors.select")


def test_without_kernel_state_a_line_that_may_be_running_is_not_called_a_wait() -> None:
    assert name(USER, None, "time.sleep(1)").kind is K.UNKNOWN
    assert name(USER, None, "total = compute(rows)").kind is K.UNKNOWN


# --- source lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("time.sleep(1)", ["time.sleep"]),
        ("return fetch(parse(x))", ["fetch", "parse"]),
        ("await client.get(url)", ["client.get"]),
        ("async with pool.acquire() as conn:", ["pool.acquire"]),
        ("async for row in cursor.rows():", ["cursor.rows"]),
        ("with open(path) as f:", ["open"]),
        ("if not lock.acquire():", ["lock.acquire"]),
        ("elif lock.acquire():", ["lock.acquire"]),
        ("else: lock.acquire()", ["lock.acquire"]),
        ("except ValueError: time.sleep(1)", ["time.sleep"]),
        ("while poll(x):", ["poll"]),
        ("for item in queue.get():", ["queue.get"]),
        ("result = requests.get(", ["requests.get"]),
        ("result = requests.get(url,", ["requests.get"]),
        ("values = [compute(x)", ["compute"]),
        ("get_session().query(x)", ["get_session().query", "get_session"]),
        ("handlers[name](request)", []),
        ("x = 1", []),
        ("", []),
        ("}", []),
        ("'''", []),
        ("def f(x=g()):", ["g"]),
        ("lambda: f()", ["f"]),
        ("f'{x}'.join(y)", ["join"]),
    ],
)
def test_calls_of_a_line(line: str, expected: list[str]) -> None:
    assert calls(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "(" * 500,
        "f" + "()" * 249,
        "-" * 499 + "1",
        "f(" * 166 + ")",
        "x" * 10_000,
        "a\0b()",
        "f('\ud800')",
        "\u202ef()",
        "f('\\d')",
        "f(\x1b[31m)",
        "1 " * 250,
        "0777()",
    ],
    ids=range(12),
)
def test_a_hostile_line_does_no_harm(line: str) -> None:
    assert isinstance(calls(line), list)
    assert name(USER, FUTEX, line).kind is K.LOCK


@given(st.text(max_size=60))
def test_any_text_as_source_is_survived(line: str) -> None:
    for one in calls(line):
        assert isinstance(one, str)


@pytest.mark.parametrize(("failures", "found"), [(1, ["time.sleep"]), (100, [])])
def test_a_parser_that_fails_in_itself_is_asked_once_more(
    monkeypatch: pytest.MonkeyPatch, failures: int, found: list[str]
) -> None:
    left = [SystemError("AST constructor recursion depth mismatch")] * failures
    parse = ast.parse

    def ill(text: str) -> ast.Module:
        if left:
            raise left.pop()
        return parse(text)

    with monkeypatch.context() as patched:
        patched.setattr(ast, "parse", ill)
        told = calls("time.sleep(1)")
    assert told == found


def test_source_line_is_none_where_it_was_not_read() -> None:
    assert source_line(FETCH, SOURCES) == "        time.sleep(backoff_s)"
    assert source_line(Frame("f", "/app/client.py", None), SOURCES) is None
    assert source_line(Frame("f", "/app/client.py", 999), SOURCES) is None
    assert source_line(Frame("f", "/app/other.py", 41), SOURCES) is None
