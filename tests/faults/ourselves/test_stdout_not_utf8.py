"""The terminal or the locale does not know UTF-8.

Every command works; what cannot be written as it is, is written in ASCII.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.live.session import (
    environment,
    record_by_shell,
    run,
)


@pytest.mark.parametrize(
    "more", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "LANG": "C"}]
)
def test_a_stdout_that_is_not_utf8(
    tmp_path: Path, target: subprocess.Popen[str], more: dict[str, Any]
) -> None:
    done = record_by_shell(tmp_path, target, '"$@"', **more)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"command of {target.pid}" in done.stdout
    drawn = ("flamegraph", "rec", "--weight", "wall")
    for args in (("workers", target.pid), ("report", "rec"), ("doctor",), drawn):
        code, out, err = run(tmp_path, *args, env=environment(**more))
        assert (code, err) == (0, "")
        assert out
