"""A file of the recording has a hole of three gigabytes in it.

It is not read into memory: without its main file it is one clear error, without another one the
rest is reported, with what was lost and why.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.reading import lost, refused, reported
from tests.faults.recording.changing import files

_SIZE = 3 << 30


def test_three_gigabytes_of_nothing_are_not_read(rec: Path) -> None:
    meta, *others = files(rec)
    for file in others:
        os.truncate(file, _SIZE)
    losses = lost(reported(rec))
    assert len(losses) == len(others)
    assert all("it has more than 256 MB" in why or "64 MB" in why for _, why in losses), losses
    os.truncate(meta, _SIZE)
    refused(rec, str(meta), "it has more than 64 MB")


def test_a_small_hole_is_one_too(rec: Path) -> None:
    meta, *others = files(rec)
    for file in others:
        os.truncate(file, 50 << 20)
    losses = lost(reported(rec))
    assert len(losses) == len(others)
    assert all("parts of it were never written" in why for _, why in losses), losses
    os.truncate(meta, 50 << 20)
    refused(rec, str(meta), "parts of it were never written")
