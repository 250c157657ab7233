"""The main file of one recording lies beside the stacks and rows of another one.

Nothing of the other one is told as this one's: its times and processes do not fit, and what is
missing of this one is told as lost.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.reading import lost, reported
from tests.faults.recording.changing import meta_file, stacks_file

GOLDEN = Path(__file__).parents[2] / "golden"


def test_of_another_process(rec: Path) -> None:
    """Files are named after their process."""
    shutil.copy(GOLDEN / "blocked" / "meta.json", meta_file(rec))
    report = reported(rec)
    assert report["findings"] == []
    assert sorted(lost(report)) == [
        ("oracle epoll", "its file is missing"),
        ("oracle threads", "its file is missing"),
        ("stacks, segment 0", "the sampler wrote nothing before the end"),
    ]


@pytest.mark.parametrize("sampler", ["py-spy"])
def test_of_another_run_with_the_same_pid(rec: Path, tmp_path: Path) -> None:
    """Its rows are of times at which this process was not recorded."""
    other = tmp_path / "other"
    shutil.copytree(GOLDEN / "blocked", other)
    (pid,) = {path.name.split(".")[0] for path in (rec / "oracles").glob("*/*.jsonl")}
    for oracle in ("epoll", "threads"):
        shutil.copy(
            other / "oracles" / oracle / "8095.jsonl", rec / "oracles" / oracle / f"{pid}.jsonl"
        )
    for oracle in ("asyncio", "pools", "backlog", "requests", "places"):
        shutil.rmtree(rec / "oracles" / oracle)
    shutil.copy(other / "stacks" / "8095-0.trace.json", stacks_file(rec))
    report = reported(rec)
    assert not [finding for finding in report["findings"] if finding["verdict"] == "starving"]
    assert len(lost(report)) >= 5
    assert "block" not in {f["blame"]["function"] for f in report["findings"] if f["blame"]}
