"""The library: what a program gets of a recording, and the errors it can meet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import waitspy
from tests.commands.invoking import waitspy as run
from waitspy.render import REPORTS

GOLDEN = Path(__file__).parent / "golden"
PARKED = GOLDEN / "parked"


def test_a_recording_tells_what_its_report_tells() -> None:
    recording = waitspy.load(PARKED)
    report = json.loads((GOLDEN / "parked.report.json").read_text("utf-8"))
    assert [finding.kind.name for finding in recording.findings] == [
        finding["kind"] for finding in report["findings"]
    ]
    assert recording.findings[0].starved_s == pytest.approx(report["findings"][0]["starved_s"])
    assert recording.verdict == recording.report().splitlines()[0]
    assert recording.severity == "starving"
    assert recording.info.duration_s == pytest.approx(report["recording"]["duration_s"], abs=0.001)
    assert [record.worker.pid for record in recording.workers] == [
        worker["pid"] for worker in report["workers"]
    ]
    assert recording.losses == ()
    healthy = waitspy.load(str(GOLDEN / "healthy"))
    assert (healthy.findings, healthy.severity) == ((), "none")


def test_shorter_waits_are_no_findings_if_so_wanted() -> None:
    assert waitspy.load(PARKED, min_stall_s=30).findings == ()


@pytest.mark.parametrize("name", sorted(set(REPORTS) - {"html"}))
def test_a_report_is_that_of_the_command(name: str) -> None:
    assert waitspy.load(PARKED).report(name) == run("report", PARKED, "-f", name).stdout


def test_a_profile_is_that_of_the_flamegraph() -> None:
    recording = waitspy.load(PARKED)
    profile = recording.profile()
    assert profile.telling_weight == "starved"
    assert profile == recording.analysis.profile
    pid = recording.workers[0].worker.pid
    assert recording.profile(pid=pid).merged == profile.merged
    assert {frame.line for one in profile.merged for frame in one.stack} == {None}
    assert {f.line for one in recording.profile(lines=True).merged for f in one.stack} > {None}


def test_errors_are_the_tools_own_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(waitspy.RecordingError) as missing:
        waitspy.load(tmp_path / "rec")
    assert "does not exist" in str(missing.value)
    assert missing.value.hint
    assert isinstance(missing.value, waitspy.WaitspyError)
    with pytest.raises(waitspy.RecordingError, match="pid 1 is not in this recording") as other:
        waitspy.load(PARKED).profile(pid=1)
    assert "its workers are" in other.value.hint
    with pytest.raises(ValueError, match="'pdf' is no format of reports: text, json"):
        waitspy.load(PARKED).report("pdf")


def test_every_name_that_is_offered_is_there() -> None:
    assert all(hasattr(waitspy, name) for name in waitspy.__all__)


def test_the_types_are_known_to_who_uses_it(tmp_path: Path) -> None:
    program = tmp_path / "uses.py"
    program.write_text(
        "import waitspy\n"
        "recording = waitspy.load('rec')\n"
        "reveal_type(recording.findings[0].starved_s)\n"
        "reveal_type(recording.profile().merged[0].wall_s)\n"
        "reveal_type(recording.severity)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, program],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert done.stdout.count('"builtins.float"') + done.stdout.count('"float"') == 2
    assert "Literal['starving'" in done.stdout
