"""A function has a name with escape sequences, markup, line breaks, hidden marks, or of 100 kB.

It is blamed as any other one, and its name is text in every format: nothing in it runs, moves the
cursor, breaks a line or hides another text.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.names.naming import HOSTILE, recorded, variants


@pytest.mark.parametrize("name", variants(HOSTILE, "markup", "lines"))
def test_it_is_blamed_by_a_name_that_is_text(tmp_path: Path, name: str) -> None:
    report = recorded(tmp_path, "file.py", name)
    shown = [f["blame"]["function"] for f in report["findings"] if f["blame"]]
    assert shown
    if name.isascii() and name.isprintable() and 0 < len(name) < 100:
        assert name in shown
