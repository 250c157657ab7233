"""One of the files of a recording is gone, or has lost its rows.

What the others tell is reported, with one loss for what is missing; nothing is claimed that only
the missing one could have told.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.reading import few, lost, reported
from tests.faults.recording.changing import only_one_segment, stacks_file, stream

ORACLES = (
    "threads",
    "epoll",
    "asyncio",
    "pools",
    "backlog",
    "datagrams",
    "messages",
    "requests",
    "places",
    "children",
)


@pytest.mark.parametrize("oracle", ORACLES)
def test_one_file_is_gone(rec: Path, oracle: str) -> None:
    shutil.rmtree(rec / "oracles" / oracle)
    report = reported(rec, few)
    assert lost(report) == [(f"oracle {oracle}", "its file is missing")]
    kinds = {finding["kind"] for finding in report["findings"]}
    assert ("exhausted-pool" in kinds) == (oracle not in {"pools", "threads"}), kinds


@pytest.mark.parametrize("oracle", ["asyncio", "pools", "threads"])
def test_its_rows_are_gone_and_its_end_is_there(rec: Path, oracle: str) -> None:
    """As from a server in which that oracle saw nothing."""
    file = stream(rec, oracle)
    marks = [line for line in file.read_text("utf-8").splitlines() if line.startswith("{")]
    assert len(marks) == 2
    file.write_text("\n".join(marks) + "\n", "utf-8")
    report = reported(rec, few)
    kinds = {finding["kind"] for finding in report["findings"]}
    assert "exhausted-pool" not in kinds or oracle == "asyncio"
    assert not [what for what, _ in lost(report) if what.startswith(("oracle", "end of"))]


@pytest.mark.parametrize("sampler", ["delta", "py-spy"])
def test_stacks_are_gone(rec: Path) -> None:
    only_one_segment(rec)
    stacks_file(rec).unlink()
    report = reported(rec)
    assert lost(report) == [("stacks, segment 0", "the sampler wrote nothing before the end")]
    assert not [finding for finding in report["findings"] if finding["blame"]]


def test_source_lines_are_gone(rec: Path) -> None:
    (rec / "sources.json").unlink()
    report = reported(rec)
    assert lost(report) == []
    assert report["findings"]
    assert not [f for f in report["findings"] if f["blame"] and f["blame"].get("source")]
