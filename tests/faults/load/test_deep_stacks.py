"""A loop stalls below 900 frames.

Each stall is told, at its time and on the innermost line.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.load.crowds import check_crowd

pytestmark = pytest.mark.alone


def test_each_stall_below_nine_hundred_frames_is_told(tmp_path: Path) -> None:
    check_crowd("frames", 900, tmp_path / "rec")
