"""The environment is odd: no terminal type, one column, a time zone or a language that does not exist, Python's own switches.

A stall is found and told in full, with nothing on standard error. A command that waitspy starts gets that environment as
it is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.faults.ourselves.servers import STALLING, is_told_to_sleep, loop, recorded
from tests.live.session import environment, run

ODD = {
    "warnings are errors": {"PYTHONWARNINGS": "error"},
    "without docstrings and assertions": {"PYTHONOPTIMIZE": "2"},
    "development mode": {"PYTHONDEVMODE": "1"},
    "a startup file that fails": {"PYTHONSTARTUP": "/no/such/file.py"},
    "no byte code, hashes as told": {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "1"},
    "one column": {"COLUMNS": "1", "LINES": "1", "TERM": "dumb"},
    "nonsense": {"TZ": "No/Such:Zone", "LANG": "xx_YY.nothing", "LC_ALL": "nothing", "TERM": "?"},
    "threads for numpy": {"OPENBLAS_NUM_THREADS": "64"},
}


QUICK = {"warnings are errors", "one column", "nonsense"}


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(odd, id=name, marks=() if name in QUICK else pytest.mark.slow)
        for name, odd in ODD.items()
    ],
)
def test_a_stall_is_found(tmp_path: Path, odd: dict[str, str]) -> None:
    with loop(*STALLING) as pid:
        report, out = recorded(tmp_path, pid, env=environment(**odd))
    is_told_to_sleep(report)
    assert report.losses == ()
    told = "".join(out.split())  # in one column, every word is cut
    assert "blocked" in told
    assert "time.sleep(HARM_S)" in told


def test_nothing_but_a_path_in_the_environment(tmp_path: Path) -> None:
    bare = {name: environment()[name] for name in ("PATH", "PYTHONPATH")}
    with loop(*STALLING) as pid:
        report, _ = recorded(tmp_path, pid, env=bare)
    is_told_to_sleep(report)


@pytest.mark.parametrize("more", [{}, {"OPENBLAS_NUM_THREADS": "64"}], ids=["unset", "set"])
def test_a_command_gets_the_environment_as_it_is(tmp_path: Path, more: dict[str, str]) -> None:
    given = {name: v for name, v in environment().items() if name != "OPENBLAS_NUM_THREADS"} | more
    script = "import json, os, time; print(json.dumps(dict(os.environ))); time.sleep(0.2)"
    args = ("record", "-o", "rec", "--", sys.executable, "-c", script)
    code, out, _ = run(tmp_path, *args, env=given)
    assert code == 0
    assert json.loads(out.splitlines()[0]) == given
