"""Changes the judge in thousands of small ways, and tells which changes no unit test notices.

    python tools/mutants.py [FILE ...]     # files of judge/ without .py: pools fifo; none is all

It goes on where it was stopped, and tries again what survived: there may be a test for it now.
Mutants lie in ``.mutants``; ``cd .mutants && ../.venv/bin/mutmut show NAME`` prints one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGE = ROOT / ".mutants"
COPIES = {"src": "profiler", "tests": "tests"}
"""mutmut names modules by their files, and knows only ``src`` as a folder that is no package.

No links: hatchling follows them, and leaves out of a package what it has come across already.
"""

JUDGE = ROOT / "profiler/waitspy/judge"
TABLES = {"__init__", "waits"}
"""Made on import, before there is a mutant: no test can kill theirs."""
_ON_IMPORT = (".remedies.x__row__",)

_MOST_BYTES = 4_000_000_000
"""A mutant that never ends may collect something all the while: one took 18 GB."""

_SURVIVED = {0, 33}  # 33: no test runs that function

Codes = dict[str, int | None]


def main() -> int:
    """Runs what is left to run, then prints each file's share and the names that survive."""
    _lay_out()
    files = sys.argv[1:] or sorted(path.stem for path in JUDGE.glob("*.py"))
    files = [name for name in files if name not in TABLES]
    before = {name: _codes(name) for name in files}
    code = _run([mutant for name, known in before.items() for mutant in _left(name, known)])
    changed = [m for name in files for m, result in _codes(name).items() if result is None]
    if code == 0 and changed:  # what mutmut has made anew, as its function has changed
        code = _run(changed)
    for name in files:
        _tell(name, _codes(name))
    return code


def _lay_out() -> None:
    """The project as mutmut wants it; times of files are kept, by which it knows what changed."""
    for name, source in COPIES.items():
        shutil.rmtree(STAGE / name, ignore_errors=True)
        shutil.copytree(ROOT / source, STAGE / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", STAGE)
    shutil.rmtree(STAGE / "mutants/tests", ignore_errors=True)  # mutmut leaves what is gone
    # which test runs what: mutmut asks new tests only, and loses some that it has asked
    (STAGE / "mutants/mutmut-stats.json").unlink(missing_ok=True)
    for path in (STAGE / "mutants/src").rglob("*.*"):  # … and what is there already
        if path.is_file() and path.suffix not in {".py", ".meta"}:
            path.unlink()


def _codes(name: str) -> Codes:
    """The mutants of a file and how their tests ended: 0 survived, None was not run."""
    path = STAGE / "mutants/src/waitspy/judge" / f"{name}.py.meta"
    if not path.exists():
        return {}
    codes: Codes = json.loads(path.read_text())["exit_code_by_key"]
    return {m: code for m, code in codes.items() if not any(part in m for part in _ON_IMPORT)}


def _left(name: str, known: Codes) -> list[str]:
    if not known:
        return [f"waitspy.judge.{name}.*"]
    return [mutant for mutant, code in known.items() if code is None or code in _SURVIVED]


def _run(mutants: list[str]) -> int:
    if not mutants:
        return 0
    mutmut = Path(sys.executable).with_name("mutmut")
    command: list[str | Path] = ["nice", "-n", "19", "prlimit", f"--as={_MOST_BYTES}"]
    command += [mutmut, "run", "--max-children", "1", *mutants]
    # so that hypothesis sets no deadline: who is nice may be late
    return subprocess.run(command, cwd=STAGE, check=False, env={**os.environ, "CI": "1"}).returncode


def _tell(name: str, codes: Codes) -> None:
    ran = {mutant: code for mutant, code in codes.items() if code is not None}
    if not ran:
        return
    alive = [mutant for mutant, code in ran.items() if code in _SURVIVED]
    left = f", {len(codes) - len(ran)} not run yet" if len(ran) < len(codes) else ""
    print(f"{name:14} {1 - len(alive) / len(ran):6.1%} of {len(ran)} killed{left}")
    for mutant in alive:
        print(f"    {mutant}")


if __name__ == "__main__":
    sys.exit(main())
