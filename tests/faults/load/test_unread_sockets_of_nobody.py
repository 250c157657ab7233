"""A process holds 2,000 sockets with data that nobody watches.

They are nobody's victims; each stall of the loop is told, at its time and on its line.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.load.crowds import check_crowd

pytestmark = [pytest.mark.alone, pytest.mark.slow]


def test_sockets_that_nobody_watches_are_no_victims(tmp_path: Path) -> None:
    check_crowd("unread", 2000, tmp_path / "rec")
