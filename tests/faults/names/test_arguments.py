"""What waitspy is given as a target is full of escape sequences, an option, or 100 kB long.

One clear error of short lines, in which no character moves the cursor; nothing is recorded.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.names.naming import ESCAPES, HIDDEN, LINES, LONG, MARKUP
from tests.faults.reading import FORBIDDEN
from tests.live.session import run, said_well

TARGETS = {
    "escapes": "no-such-\x1b[31m-server",
    "more": ESCAPES + HIDDEN + LINES,
    "markup": MARKUP,
    "long": LONG,
    "expression": "(a+)+" * 20 + "$[",
    "number": "9" * 5000,
    "port": ":" + "9" * 5000,
    "not UTF-8": os.fsdecode(b"\xff\xfeno-such-server"),
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("command", ["workers", "record"])
def test_one_clear_error(tmp_path: Path, command: str, target: str) -> None:
    code, out, err = run(tmp_path, command, target)
    assert (code, out) == (1, ""), err
    said_well(err)
    assert len(err) < 2_000 + len(target)
    for forbidden in FORBIDDEN:
        assert forbidden not in err, repr(forbidden)
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_called_like_an_option(tmp_path: Path) -> None:
    """Only behind -- is it one; else it is a mistake, and said as such."""
    code, out, err = run(tmp_path, "report", "--", "--help")
    assert (code, out) == (1, "")
    said_well(err, "--help does not exist")
