"""The main stories on every CPython that is found: what is harmed is told, its healthy twin is not."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests import pythons
from tests.live.crew import check_crew
from tests.live.running import (
    ROOT,
    TARGETS,
    read_report,
    record,
    said,
    starved_by_itself,
    target,
    waitspy,
)
from tests.live.web import load, uvicorn
from tests.remote.interpreters import Python, with_modules
from waitspy_scenarios import SCENARIOS

pytestmark = pytest.mark.ptrace


@pytest.mark.alone
@pytest.mark.parametrize(
    "version", [pytest.param(v, id=v, marks=pythons.marks(v)) for v in pythons.found()]
)
def test_workers_with_different_stories(version: str, tmp_path: Path) -> None:
    with target([pythons.found()[version], TARGETS / "crew.py"]) as crew:
        pids = {name: ready["pid"] for name, ready in crew.ready.items()}
        report = check_crew(crew, tmp_path / "rec", pids, lead=crew.pid, app=TARGETS)
    assert {worker["python"] for worker in report["workers"]} == {version}


@pytest.mark.parametrize(
    "python",
    [
        pytest.param(p, id=str(p), marks=pythons.marks(p.version))
        for p in with_modules("fastapi", "uvicorn")
    ],
)
def test_a_blocking_endpoint_of_fastapi(python: Python, tmp_path: Path) -> None:
    with uvicorn(python) as (pid, port), load(port, "/blocking", 4):
        report = record(pid, tmp_path / "rec", seconds=2)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "blocked-loop", said(report)
    assert finding["blame"]["function"] == "blocking"
    assert finding["blame"]["source"] == "time.sleep(0.5)"
    assert report["workers"][0]["python"] == python.version


@pytest.mark.alone
@pytest.mark.slow
def test_buffer_versus_job(tmp_path: Path) -> None:
    """On the Pythons that the scenario can run on, two side by side: they hardly use any CPU."""
    others = {
        version: path
        for version, path in pythons.found().items()
        if sys.version_info[:2] != tuple(map(int, version.split(".")[:2])) >= (3, 11)
    }
    scenario = SCENARIOS["buffer-vs-job"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scenarios")}
    expected = scenario.truth["block"]

    def report(version: str) -> dict[str, Any]:
        command = [others[version], *scenario.command(*expected.options)[1:]]
        done = waitspy("record", "-o", tmp_path / version, "--", *command, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return read_report(tmp_path / version)

    with ThreadPoolExecutor(2) as pool:
        reports = dict(zip(others, pool.map(report, others), strict=True))
    for version, told in reports.items():
        assert {worker["python"] for worker in told["workers"]} == {version}
        findings = starved_by_itself(told)
        assert [f["kind"] for f in findings] == [expected.kind], f"{version} {said(told)}"
        (finding,) = findings
        assert finding["blame"]["function"] == expected.function
        assert {victim["kind"] for victim in finding["victims"]} & expected.victims
