"""Standard output or standard error is closed, or a pipe whose reader has gone.

The recording is whole, the exit code is what it would have been, and nothing is said about it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.live.session import (
    load,
    record_by_shell,
)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('"$@" | head -1', 0),
        ('"$@" | true', 0),
        ('"$@" >&-', 0),
        ('"$@" 2>&-', 0),
        ('"$@" <&- >&- 2>&-', 0),
        ('"$@" --fail-on any:99 2>&- | true', 0),
    ],
)
def test_a_closed_stdout_is_no_error(
    tmp_path: Path, target: subprocess.Popen[str], line: str, code: int
) -> None:
    done = record_by_shell(tmp_path, target, line)
    assert (done.returncode, done.stderr) == (code, "")
    assert load(tmp_path / "rec").losses == ()
    assert "Traceback" not in (tmp_path / "rec" / "meta.json").read_text("utf-8")
