"""Workers that live in namespaces and a root of their own, seen from outside, as containers are."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests import pythons
from tests.live.crew import check_crew
from tests.live.running import TARGETS, Target, target, waitspy
from tests.remote.interpreters import HERE
from waitspy.kernel import procfs
from waitspy.target import discover

UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child")
CONTAINED = Path(__file__).parent / "contained.sh"
SID = Path(__file__).parents[2] / ".pythons"


def _refused() -> bool:
    return not shutil.which("unshare") or bool(
        subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode
    )


pytestmark = [
    pytest.mark.ptrace,
    pytest.mark.skipif(os.geteuid() != 0 or _refused(), reason="cannot make namespaces here"),
]


@contextmanager
def contained(python: str, root: Path) -> Iterator[tuple[Target, int, Mapping[str, int]]]:
    """A crew in a container: what was started, its first process, and its workers' pids."""
    program = Path(python).resolve()
    system, prefix = Path("/"), program.parents[1]
    if prefix == SID / "usr":
        system, prefix = SID / "root", SID / "root/usr"
    root.mkdir()
    inside = [f"/opt/python/bin/{program.name}", "/srv/crew.py"]
    with target([*UNSHARE, "sh", CONTAINED, root, system, prefix, TARGETS, *inside]) as crew:
        (lead,) = procfs.children(crew.pid)
        below = [process.pid for process in psutil.Process(lead).children(recursive=True)]
        outer = {procfs.read_status(pid).pids[-1]: pid for pid in below}
        yield crew, lead, {name: outer[ready["pid"]] for name, ready in crew.ready.items()}


@pytest.mark.alone
@pytest.mark.parametrize(
    "version", [pytest.param(v, id=v, marks=pythons.marks(v)) for v in pythons.found()]
)
def test_a_container_is_seen_like_other_servers(version: str, tmp_path: Path) -> None:
    with contained(pythons.found()[version], tmp_path / "root") as (crew, lead, pids):
        report = check_crew(crew, tmp_path / "rec", pids, lead=lead, app=Path("/srv"))
        assert {worker["python"] for worker in report["workers"]} == {version}
        states = {state for worker in report["workers"] for state in worker["oracles"].values()}
        assert states == {"ok"}
        blocked = next(f for f in report["findings"] if f["kind"] == "blocked-loop")
        port = crew.ready["blocked"]["port"]
        assert blocked["victims"][0]["name"] == f"requests on port {port}"


def test_a_container_by_its_port_and_what_doctor_says_of_it(tmp_path: Path) -> None:
    with contained(HERE.path, tmp_path / "root") as (crew, _, pids):
        port = crew.ready["healthy"]["port"]
        assert [worker.pid for worker in discover.find(f":{port}")] == [pids["healthy"]]
        done = waitspy("doctor", f":{port}")
        assert done.returncode == 0, done.stdout
        assert "another network namespace (/opt/python/bin/python" in done.stdout
        assert "py-spy read 41 threads" in done.stdout
