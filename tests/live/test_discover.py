"""waitspy.target.discover on real servers: who is found, with which role, version and reason."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from unittest.mock import ANY

import pytest

from tests.live.started import started, tell, wait_for
from waitspy.errors import PermissionMissing, TargetError
from waitspy.kernel import nettable, procfs
from waitspy.model.processes import Worker
from waitspy.target import discover, interpreter, ports
from waitspy.target.tree import NO_RUNTIME, Tree

pytestmark = pytest.mark.ptrace

WAIT = "import sys; print('ready', flush=True); sys.stdin.read()"
TELLS = """
import platform, sysconfig, sys
free = bool(sysconfig.get_config_var('Py_GIL_DISABLED'))
print(' '.join(['ready', platform.python_implementation(), platform.python_version(), str(free)]))
sys.stdout.flush()
sys.stdin.read()
"""


def interpreters() -> list[str]:
    """Every Python that is installed here: pyenv's, the PATH's, the system's."""
    versions = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"
    found = [str(path) for path in sorted(versions.glob("*/bin/python"))]
    for minor in range(6, 17):
        for folders in (None, "/usr/bin"):
            path = shutil.which(f"python3.{minor}", path=folders)
            found += [path] if path and "/shims/" not in path else []
    return list({os.path.realpath(path): path for path in [*found, sys.executable]}.values())


def roles_of(workers: tuple[Worker, ...]) -> list[tuple[str, str | None]]:
    return [(worker.role, worker.framework) for worker in workers]


# --- interpreters


@pytest.mark.parametrize("path", interpreters())
def test_every_installed_python_is_recognised_with_its_exact_version(path: str) -> None:
    with started([path, "-c", TELLS]) as (process, said):
        _, implementation, version, free_threaded = said.split()
        found = interpreter.identify(process.pid)
        assert found is not None
        assert found.implementation == implementation
        if implementation != "CPython":
            assert (found.version, found.why_not) == (None, f"{implementation}, not CPython")
            return
        assert found.version == version
        assert found.free_threaded is (free_threaded == "True")
        (worker,) = discover.find(str(process.pid))
        assert worker.python == version
        supported = (3, 8) <= tuple(map(int, version.split(".")[:2])) <= (3, 15)
        if supported and not found.free_threaded:
            assert worker.why_not is None
            start, end = interpreter.runtime_span(process.pid) or (0, 0)
            assert start < end
        else:
            assert worker.why_not
            assert worker.remedy


def test_a_renamed_interpreter_is_recognised_even_after_its_file_is_deleted(tmp_path: Path) -> None:
    server = tmp_path / "myserver"
    shutil.copy(os.path.realpath(sys.executable), server)
    version = ".".join(map(str, sys.version_info[:3]))
    with started([str(server), "-c", WAIT], env={"PYTHONHOME": sys.base_prefix}) as (process, _):
        (worker,) = discover.find(str(process.pid))
        assert (worker.python, worker.framework, worker.role) == (version, "python", "worker")
        server.unlink()
        (again,) = discover.find(str(process.pid))
        assert again.python == version
        shutil.copy(shutil.which("sh") or "/bin/sh", server)  # as an upgrade replaces files
        (replaced,) = discover.find(str(process.pid))
        assert replaced.python == version


# --- a pid


def test_a_plain_server_and_its_threads() -> None:
    code = (
        "import threading, sys\n"
        "for _ in range(3): threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        + WAIT
    )
    with started([sys.executable, "-c", code]) as (process, _):
        (worker,) = discover.find(str(process.pid))
        assert worker == Worker(
            pid=process.pid,
            ppid=os.getpid(),
            role="worker",
            command=f"{sys.executable} -c {code}",
            start_ticks=procfs.read_stat(process.pid).start_ticks,
            python=".".join(map(str, sys.version_info[:3])),
            framework="python",
            threads=4,
        )


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("fork", [("master", "python"), *[("worker", "multiprocessing")] * 2]),
        (
            "spawn",
            [
                ("master", "python"),
                ("helper", "multiprocessing"),
                *[("worker", "multiprocessing")] * 2,
            ],
        ),
        (
            "forkserver",
            [
                ("master", "python"),
                *[("helper", "multiprocessing")] * 2,
                *[("worker", "multiprocessing")] * 2,
            ],
        ),
    ],
)
def test_multiprocessing(tmp_path: Path, method: str, expected: list[tuple[str, str]]) -> None:
    script = tmp_path / "pool.py"
    script.write_text(
        "import multiprocessing, sys\n"
        "def work(ready, go):\n"
        "    ready.release(); go.wait()\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    ready, go = context.Semaphore(0), context.Event()\n"
        "    for _ in range(2):\n"
        "        context.Process(target=work, args=(ready, go), daemon=True).start()\n"
        "    for _ in range(2):\n"
        "        ready.acquire()\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with started([sys.executable, str(script)]) as (process, _):
        workers = discover.find(str(process.pid))
        assert sorted(roles_of(workers)) == sorted(expected)
        assert workers[0].pid == process.pid
        assert all(worker.why_not is None for worker in workers)


def test_a_shell_that_starts_a_server_is_listed_and_skipped() -> None:
    shell = ["sh", "-c", 'sleep 600 & "$0" -c "$1" <&0; wait', sys.executable, WAIT]
    with started(shell) as (process, _):
        workers = discover.find(str(process.pid))
        assert workers[0].pid == process.pid
        foreign = {w.command.split()[0]: (w.role, w.python, w.why_not) for w in workers}
        assert foreign["sh"] == ("helper", None, NO_RUNTIME)
        assert foreign["sleep"] == ("helper", None, NO_RUNTIME)
        (server,) = (worker for worker in workers if worker.python)
        assert (server.role, server.why_not, server.ppid) == ("worker", None, process.pid)


def test_a_process_that_is_not_python_and_has_none_below() -> None:
    with started(["sh", "-c", "echo ready; exec sleep 600"]) as (process, _):
        Tree([process.pid]).scan()
        with pytest.raises(
            TargetError, match=r"is neither a Python nor a Node\.js process"
        ) as caught:
            discover.find(str(process.pid))
        assert f"pid {process.pid} (" in str(caught.value)
        assert caught.value.hint


def test_hostile_command_lines_are_kept_and_shown_safely() -> None:
    hostile = "<script>\x1b[31m\u202e\n" + "z" * 5000
    with started([sys.executable, "-c", WAIT, hostile]) as (process, _):
        (worker,) = discover.find(str(process.pid))
        assert worker.command.endswith(hostile)
        with pytest.raises(TargetError) as caught:
            discover.find("none-" + uuid.uuid4().hex)
        assert all(line.isprintable() for line in caught.value.hint.split("\n"))


# --- a port


def http_server(address: str) -> tuple[list[str], str]:
    return [sys.executable, "-m", "http.server", "0", "--bind", address], "Serving HTTP"


def port_of(said: str) -> int:
    return int(said.partition(" port ")[2].split()[0])


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_server_is_found_by_its_port(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as trial:
            trial.bind((address, 0))
    except OSError:
        pytest.skip(f"no {address} here")
    argv, ready = http_server(address)
    with started(argv, ready=ready) as (process, said):
        (worker,) = discover.find(f":{port_of(said)}")
        assert discover.find(f"http://localhost:{port_of(said)}/") == (worker,)
        assert (worker.pid, worker.role) == (process.pid, "worker")


def test_nobody_listening_lists_who_listens_elsewhere() -> None:
    argv, ready = http_server("127.0.0.1")
    with started(argv, ready=ready) as (process, said), socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(TargetError, match="nobody listens") as caught:
            discover.find(f":{bound.getsockname()[1]}")
        others = caught.value.hint
        assert "servers that listen here" in others
        assert f":{port_of(said)} pid {process.pid} " in caught.value.hint or " more" in others


REUSED = """
import os, signal, socket, sys, time
probe = socket.socket(); probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
probe.bind(("127.0.0.1", 0)); port = probe.getsockname()[1]
def start(n):
    pid = os.fork()
    if pid:
        return pid
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", port)); s.listen(); probe.close()
    os.write(1, f"ready {port} {os.getpid()}\\n".encode())  # at once: both write to one pipe
    while True:
        time.sleep(60)
for n in range(2):
    start(n)
while True:
    os.wait(); start(0)
"""
"""As Granian: the master has no listener, each of its workers has one, and it starts new ones."""


def test_workers_with_listeners_of_their_own_have_a_master() -> None:
    with started([sys.executable, "-c", REUSED], times=2) as (master, said):
        _, port, pid = said.split()
        tree = discover.open_tree(f"127.0.0.1:{port}")
        assert [worker.role for worker in tree.workers] == ["master", "worker", "worker"]
        assert tree.workers[0].pid == master.pid
        os.kill(int(pid), signal.SIGKILL)
        newborn = int(wait_for(master, "ready").split()[2])
        deadline_s = time.monotonic() + 20
        while newborn not in {worker.pid for worker in tree.scan()}:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


def test_several_holders_of_one_port_are_all_taken() -> None:
    code = (
        "import socket, sys\n"
        "s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
        "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen()\n"
        "print('ready', s.getsockname()[1], flush=True); sys.stdin.read()\n"
    )
    with started([sys.executable, "-c", code, "0"]) as (first, said):
        port = said.split()[1]
        with started([sys.executable, "-c", code, port]) as (second, _):
            found = [worker.pid for worker in discover.find(f":{port}")]
            assert sorted(found) == sorted([first.pid, second.pid])


def test_a_port_served_by_something_else() -> None:
    # The shell inherits the socket; the Python that opened it becomes the shell.
    code = (
        "import os, socket\n"
        "s = socket.create_server(('127.0.0.1', 0)); s.set_inheritable(True)\n"
        "os.execvp('sh', ['sh', '-c', f'echo ready {s.getsockname()[1]}; read x'])\n"
    )
    with started([sys.executable, "-c", code]) as (process, said):
        with pytest.raises(TargetError, match=r"neither a Python nor a Node\.js process") as caught:
            discover.find(f":{said.split()[1]}")
        assert f"pid {process.pid}" in str(caught.value)


def test_a_starter_that_keeps_the_socket_is_not_the_server() -> None:
    code = (
        "import os, socket, sys\n"
        "s = socket.create_server(('127.0.0.1', 0)); s.set_inheritable(True)\n"
        "print(s.getsockname()[1], flush=True)\n"
        "os.execvp('sh', ['sh', '-c', '\"$@\"; :', 'sh', *sys.argv[1:]])\n"
    )
    with started([sys.executable, "-c", code, sys.executable, "-c", WAIT], ready="") as (
        process,
        port,
    ):
        wait_for(process, "ready")
        (below,) = procfs.children(process.pid)
        (row,) = nettable.listening(process.pid, [int(port)])
        assert ports.holders({row.inode}) == ({process.pid, below}, ANY)
        assert [worker.pid for worker in discover.find(f":{port}")] == [below]


LISTENS = (
    "import socket, sys\n"
    "s = socket.create_server(('0.0.0.0', int(sys.argv[1])))\n"
    "print('ready', s.getsockname()[1], flush=True); sys.stdin.read()\n"
)


@pytest.fixture
def unshare() -> str:
    program = shutil.which("unshare")
    if not program or subprocess.run([program, "--net", "true"], check=False).returncode:
        pytest.skip("no network namespaces here")
    return program


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network namespace")
def test_a_port_that_something_else_forwards_into_a_container(unshare: str) -> None:
    forwards = (
        "import os, socket\n"
        "s = socket.create_server(('127.0.0.1', 0)); s.set_inheritable(True)\n"
        "os.execvp('sh', ['sh', '-c', f'echo ready {s.getsockname()[1]}; read x'])\n"
    )
    with started([sys.executable, "-c", forwards]) as (_, said):
        port = said.split()[1]
        with started([unshare, "--net", sys.executable, "-c", LISTENS, port]) as (inside, _):
            assert [worker.pid for worker in discover.find(f":{port}")] == [inside.pid]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network namespace")
def test_a_server_in_another_network_namespace(unshare: str) -> None:
    argv = [sys.executable, "-c", LISTENS]
    inside = [unshare, "--net", *argv]
    with started([*inside, "0"]) as (process, said):
        port = said.split()[1]
        assert [worker.pid for worker in discover.find(f":{port}")] == [process.pid]
        with started([*inside, port]) as (other, _):
            with pytest.raises(TargetError, match="2 other network namespaces") as caught:
                discover.find(f":{port}")
            assert str(process.pid) in caught.value.hint
            assert str(other.pid) in caught.value.hint
            with started([*argv, port]) as (here, _):
                assert [worker.pid for worker in discover.find(f":{port}")] == [here.pid]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a pid namespace")
def test_a_server_in_another_pid_namespace() -> None:
    unshare = shutil.which("unshare")
    private = [unshare or "", "--pid", "--fork", "--mount-proc"]
    if not unshare or subprocess.run([*private, "true"], check=False).returncode:
        pytest.skip("no pid namespaces here")
    with started([*private, "--kill-child", sys.executable, "-c", WAIT]) as (process, _):
        (below,) = procfs.children(process.pid)
        first, server = discover.find(str(process.pid))
        assert (first.python, first.role) == (None, "helper")
        assert (server.pid, server.python is None, server.why_not) == (below, False, None)
        assert procfs.read_status(below).pids == (below, 1)
        process.kill()  # unshare takes no notice of a request to end


def test_gunicorn_by_pid_by_port_and_by_name(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    marker = f"app_{uuid.uuid4().hex}"
    (tmp_path / f"{marker}.py").write_text(
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'']\n"
    )
    argv = [sys.executable, "-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:0", "--chdir"]
    argv += [str(tmp_path), f"{marker}:app"]
    with started(argv, ready="Booting worker", times=2) as (process, _):
        by_pid = discover.find(str(process.pid))
        assert roles_of(by_pid) == [("master", "gunicorn"), *[("worker", "gunicorn")] * 2]
        assert by_pid[0].pid == process.pid
        inodes = {procfs.parse_socket(link) for link in procfs.fds(by_pid[1].pid).values()}
        ports = {row.local_port for row in nettable.listening(process.pid) if row.inode in inodes}
        (port,) = ports
        assert {w.pid for w in discover.find(f":{port}")} == {w.pid for w in by_pid}
        assert {w.pid for w in discover.find(marker.upper())} == {w.pid for w in by_pid}


def test_uvicorn_with_workers(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    (tmp_path / "quiet.py").write_text(
        "async def app(scope, receive, send):\n    raise SystemExit\n"
    )
    argv = [sys.executable, "-m", "uvicorn", "--workers", "2", "--port", "0", "--lifespan", "off"]
    argv += ["--app-dir", str(tmp_path), "quiet:app"]
    with started(argv, ready="Started server process", times=2) as (process, _):
        workers = discover.find(str(process.pid))
        assert workers[0].pid == process.pid
        assert roles_of(workers)[0] == ("master", "uvicorn")
        assert sorted(roles_of(workers)[1:]) == [
            ("helper", "uvicorn"),
            *[("worker", "uvicorn")] * 2,
        ]


# --- a pattern


def test_a_pattern_of_one_server() -> None:
    marker = uuid.uuid4().hex
    with started([sys.executable, "-c", WAIT, marker]) as (process, _):
        for pattern in (marker, marker.upper(), f"{marker[:8]}.*{marker[-8:]}$"):
            assert [worker.pid for worker in discover.find(pattern)] == [process.pid]


def test_servers_with_one_parent_are_taken_together() -> None:
    marker = uuid.uuid4().hex
    argv = [sys.executable, "-c", WAIT, marker]
    with started(argv) as (first, _), started(argv) as (second, _):
        assert {worker.pid for worker in discover.find(marker)} == {first.pid, second.pid}


def test_servers_with_different_parents_are_ambiguous() -> None:
    marker = uuid.uuid4().hex
    argv = [sys.executable, "-c", WAIT, marker]
    with started(argv) as (first, _), started(["sh", "-c", '"$@"; :', "sh", *argv]) as (shell, _):
        (below,) = procfs.children(shell.pid)
        with pytest.raises(TargetError, match="matches 2 servers") as caught:
            discover.find(marker)
        assert f"pid {first.pid} (" in caught.value.hint
        assert f"pid {below} (" in caught.value.hint
        assert [worker.pid for worker in discover.find(str(below))] == [below]


def test_a_pattern_of_the_starter_takes_the_python_below_it() -> None:
    marker = uuid.uuid4().hex
    script = f': {marker}; "$0" -c "$1"; :'
    with started(["sh", "-c", script, sys.executable, WAIT]) as (shell, _):
        workers = discover.find(marker)
        assert [worker.pid for worker in workers] == [shell.pid, *procfs.children(shell.pid)]
        assert [bool(worker.python) for worker in workers] == [False, True]


def test_a_pattern_that_matches_nothing_python() -> None:
    marker = f"/{uuid.uuid4().hex}"
    with started(["sh", "-c", "echo ready; read x; :", marker]) as (process, _):
        with pytest.raises(TargetError, match="nothing that runs Python") as caught:
            discover.find(marker)
        assert f"pid {process.pid}" in str(caught.value)


def test_waitspy_and_what_started_it_never_match() -> None:
    marker = uuid.uuid4().hex
    code = "from waitspy.target import discover; import sys; print(discover.find(sys.argv[1]))"
    done = subprocess.run(
        ["sh", "-c", '"$@"; :', "sh", sys.executable, "-c", code, marker],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"TargetError: no command line matches '{marker}'" in done.stderr


# --- rights

AS_NOBODY = """
import json, os, sys
from waitspy.target import access, discover, doctor
pid = int(sys.argv[1])
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
allowed = access.may_attach(pid)
workers = discover.find(sys.argv[1])
try:
    discover.require_attachable(workers)
    refusal = None
except Exception as error:
    refusal = [type(error).__name__, str(error), error.hint]
try:
    by_port = [w.pid for w in discover.find(sys.argv[2])]
except Exception as error:
    by_port = [type(error).__name__, str(error), error.hint]
checks = {c.name: [c.status, c.found, c.remedy] for c in doctor.examine(sys.argv[1])}
print(json.dumps({
    "access": [allowed.ok, allowed.why, allowed.remedy],
    "workers": [[w.pid, w.python, w.command, w.why_not, w.remedy] for w in workers],
    "refusal": refusal, "by_port": by_port, "checks": checks,
}))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_users_process_says_what_right_is_missing() -> None:
    argv, ready = http_server("127.0.0.1")
    with started(argv, ready=ready) as (process, said):
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(process.pid), f":{port_of(said)}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        ok, why, remedy = seen["access"]
        assert not ok
        assert "it runs as root, waitspy as user 65534 without CAP_SYS_PTRACE" in why
        assert remedy
        ((pid, python, command, why_not, worker_remedy),) = seen["workers"]
        assert (pid, python, command) == (process.pid, None, " ".join(argv))
        assert (why_not, worker_remedy) == (why, remedy)
        name, message, hint = seen["refusal"]
        assert name == PermissionMissing.__name__
        assert why in message
        assert remedy in hint
        assert seen["by_port"][0] == PermissionMissing.__name__
        assert seen["checks"]["user"][0] == "warn"
        assert seen["checks"]["target"][0] == "fail"
        status, found, check_remedy = seen["checks"][f"pid {process.pid}"]
        assert (status, check_remedy) == ("fail", remedy)
        assert why in found
        (worker,) = discover.find(str(process.pid))
        assert worker.why_not is None, "as root it can be attached"
        discover.require_attachable([worker])


def test_what_cannot_be_attached_for_another_reason_is_no_matter_of_rights() -> None:
    with started(["sh", "-c", "echo ready; read x; :"]) as (process, _):
        workers = Tree([process.pid]).scan()
        with pytest.raises(TargetError, match="no worker can be attached"):
            discover.require_attachable(workers)


def test_the_helpers_of_this_module_wait_for_lines() -> None:
    with started([sys.executable, "-c", WAIT + "\nprint('second', flush=True)"]) as (process, said):
        assert said == "ready"
        tell(process, "x")
        assert process.stdin is not None
        process.stdin.close()
        assert wait_for(process, "second") == "second"
