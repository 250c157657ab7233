"""A loop has 3,000 connections that say nothing.

Each of its stalls is told, at its time and on its line.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.load.crowds import check_crowd

pytestmark = [pytest.mark.alone, pytest.mark.slow]


def test_each_stall_among_three_thousand_connections_is_told(tmp_path: Path) -> None:
    check_crowd("connections", 3000, tmp_path / "rec")
