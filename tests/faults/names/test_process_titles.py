"""A process has a title with escape sequences, line breaks, markup, of 100 kB, or that is no UTF-8.

It is found, listed, examined and recorded as any other one; its title is text in all that is
printed and written.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.names.naming import (
    ESCAPES,
    HIDDEN,
    LINES,
    LONG,
    MARKUP,
    TABLE,
    is_shown,
    variants,
)
from tests.faults.reading import reported
from tests.live.session import run
from tests.live.started import wait_for

SCRIPT = """
import sys, threading, time
name = "\\x1b]0;owned\\x07\\x1b[31m<script>alert(1)</script>\\n\\u202egnp\\r"
threading.Thread(target=time.sleep, args=(60,), name=name, daemon=True).start()
print("ready", flush=True)
time.sleep(60)
"""

TITLES = {
    "escapes": (ESCAPES + "owned").encode(),
    "all at once": (ESCAPES + MARKUP + LINES + HIDDEN).encode(),
    "long": LONG.encode(),
    "table": TABLE.encode(),
    "not UTF-8": b"\xff\xfe\x80owned\xc3",
    "option": b"--help",
}


@pytest.fixture
def titled(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A Python with that in its arguments."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, request.param], stdout=subprocess.PIPE, text=True
    )
    try:
        wait_for(process, "ready")
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("titled", variants(TITLES, "all at once"), indirect=True)
def test_it_never_reaches_the_terminal_raw(tmp_path: Path, titled: subprocess.Popen[str]) -> None:
    is_shown(*run(tmp_path, "workers", titled.pid))
    is_shown(*run(tmp_path, "doctor", titled.pid))
    is_shown(*run(tmp_path, "record", titled.pid, "-d", "0.5", "-o", "rec"))
    (worker,) = reported(tmp_path / "rec")["workers"]
    assert worker["pid"] == titled.pid


@pytest.mark.parametrize("titled", [TITLES["escapes"]], ids=["escapes"], indirect=True)
def test_what_can_be_shown_of_it_is(tmp_path: Path, titled: subprocess.Popen[str]) -> None:
    assert "owned" in run(tmp_path, "workers", titled.pid)[1]
    out = run(tmp_path, "record", titled.pid, "-d", "0.5", "-o", "rec")[1]
    assert "owned" in out
    assert "owned" in run(tmp_path, "report", "rec", "--format", "json")[1]
