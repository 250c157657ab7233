"""A file of the recording ends too early: at nothing, in a number, a text, a character, a line.

The part before it is reported and the loss of the rest is told; a main file that is cut is one
clear error.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.reading import few, lost, read, refused, reported
from tests.faults.recording.changing import meta_file, only_one_segment, stacks_file, stream


def cut(file: Path, size: int) -> None:
    raw = file.read_bytes()
    file.write_bytes(raw[: size if size >= 0 else len(raw) + size])


@pytest.mark.parametrize("size", [0, 1, 200, -1, -2])
def test_a_main_file_that_is_cut_is_refused(rec: Path, size: int) -> None:
    cut(meta_file(rec), size)
    refused(rec, str(meta_file(rec)), "is empty or not JSON", by=few)


@pytest.mark.parametrize(
    ("sampler", "keep"),
    [
        *[("py-spy", keep) for keep in (0.0, 0.3, 0.9999)],
        *[("delta", keep) for keep in (0.0, 0.001, 0.95)],  # names come first, stacks after them
    ],
)
def test_stacks_before_the_cut_are_shown(rec: Path, keep: float) -> None:
    only_one_segment(rec)
    cut(stacks_file(rec), int(stacks_file(rec).stat().st_size * keep))
    report = reported(rec, few)
    assert [what for what, _ in lost(report) if what == "stacks, segment 0"], lost(report)
    shown = read("flamegraph", str(rec), "-f", "collapsed", "--weight", "wall").text
    assert ("work" in shown) == (keep >= 0.3), shown


@pytest.mark.parametrize("oracle", ["threads", "pools"])
@pytest.mark.parametrize("size", [0, 3, 0.5, -1, -3, -40])
def test_rows_before_the_cut_are_told_and_the_end_as_lost(
    rec: Path, oracle: str, size: float
) -> None:
    """Without its last line feed a stream has all of its rows."""
    file = stream(rec, oracle)
    cut(file, int(size if size != 0.5 else file.stat().st_size * size))
    told = [why for what, why in lost(reported(rec, few)) if what == f"end of oracle {oracle}"]
    assert told == ([] if size == -1 else ["the file is cut short"])


def test_in_the_middle_of_a_character(rec: Path) -> None:
    sources = rec / "sources.json"
    raw = sources.read_bytes()
    sources.write_bytes(raw[: len(raw) // 2] + "é".encode()[:1])
    told = [why for what, why in lost(reported(rec)) if what == "source lines"]
    assert len(told) == 1
    assert told[0].startswith("sources.json cannot be read")
