"""Names as no friend gives them, and a recording of a server that is called so."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

from tests.faults.reading import FORBIDDEN, reported
from tests.live.running import TARGETS, starving
from tests.live.session import run
from tests.live.started import started

ESCAPES = "\x1b]0;owned\x07\x1b[31m\x9b2J"
MARKUP = "<script>alert(1)</script>\"'&]]>--><svg onload=alert(2)>"
LINES = "a\nb\r\nc\u2028d\x0ce\x85f"
HIDDEN = "\u202egnp\u2066\u200b\ufeff"
LONG = "n" * 100_000
TABLE = "|`*_[x](javascript:alert(1))# {{7*7}} %s ;"
SURROGATE = "a\ud800b"

HOSTILE = {
    "escapes": ESCAPES, "markup": MARKUP, "lines": LINES, "hidden": HIDDEN, "long": LONG,
    "table": TABLE, "surrogate": SURROGATE, "option": "--help", "empty": "",
}  # fmt: skip


def variants(names: Mapping[str, Any], *quick: str) -> list[ParameterSet]:
    """All of them as parameters; each is a recording, so only some are tried by ``make test``."""
    return [
        pytest.param(value, id=name, marks=() if name in quick else pytest.mark.slow)
        for name, value in names.items()
    ]


@contextmanager
def named(*told: str) -> Iterator[subprocess.Popen[str]]:
    """A server that blocks its loop in a file, function and thread of these names."""
    argv = [sys.executable, str(TARGETS / "named.py"), *map(json.dumps, told)]
    with started(argv) as (process, _):
        yield process


def recorded(folder: Path, *told: str) -> dict[str, Any]:
    """Records such a server; its report, after every format was found to be well-formed."""
    with named(*told) as process:
        outputs = run(folder, "record", process.pid, "-d", "0.8", "-o", "rec")
        is_shown(*outputs)
        assert process.poll() is None
    report = reported(folder / "rec")
    assert [f for f in starving(report) if f["kind"] == "blocked-loop"], report["findings"]
    return report


def is_shown(code: int, out: str, err: str) -> None:
    """A command has worked, and what it has printed is nothing but text."""
    assert code == 0, out + err
    assert "Traceback" not in err
    for forbidden in FORBIDDEN:
        assert forbidden not in out + err, repr(forbidden)
