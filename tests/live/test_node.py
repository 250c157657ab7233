"""Node.js, as a user meets it: recognised, and its loops' starvation told by the kernel alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, target
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
