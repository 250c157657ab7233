"""Changes the judge in thousands of small ways, and tells which changes no unit test notices.

    python tools/mutants.py [FILE ...]     # files of judge/ without .py: pools fifo; none is all

It goes on where it was stopped, and begins anew with what has changed since. Mutants lie in
``.mutants``; ``cd .mutants && ../.venv/bin/mutmut show NAME`` prints one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGE = ROOT / ".mutants"
LINKS = {"src": "profiler", "tests": "tests", "pyproject.toml": "pyproject.toml"}
"""mutmut names modules by their files, and knows only ``src`` as a folder that is no package."""

_ON_IMPORT = (".remedies.x__row__",)
"""Functions that have run before there is a mutant: no test can kill theirs."""

_RAN = (0, 1, 3, 24, -24, 36, 152, 255)  # pytest's exit codes and mutmut's for a timeout


def main() -> int:
    """Runs what is left to run, then prints each file's share and the names that survive."""
    STAGE.mkdir(exist_ok=True)
    for name, source in LINKS.items():
        link = STAGE / name
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(ROOT / source, STAGE))
    wanted = [f"waitspy.judge.{name}.*" for name in sys.argv[1:]]
    mutmut = Path(sys.executable).with_name("mutmut")
    command: list[str | Path] = ["nice", "-n", "19", mutmut, "run", "--max-children", "1", *wanted]
    code = subprocess.run(command, cwd=STAGE, check=False).returncode
    for path in sorted((STAGE / "mutants/src/waitspy/judge").glob("*.py.meta")):
        _tell(path.name.removesuffix(".py.meta"), json.loads(path.read_text()))
    return code


def _tell(name: str, meta: dict[str, dict[str, int | None]]) -> None:
    found = {
        mutant: code
        for mutant, code in meta["exit_code_by_key"].items()
        if not any(part in mutant for part in _ON_IMPORT)
    }
    codes = {mutant: code for mutant, code in found.items() if code is not None}
    if not codes:
        return
    alive = [mutant for mutant, code in codes.items() if code == 0 or code not in _RAN]
    share = 1 - len(alive) / len(codes)
    left = len(found) - len(codes)
    rest = f", {left} not run yet" if left else ""
    print(f"{name:14} {share:6.1%} of {len(codes)} killed{rest}")
    for mutant in alive:
        print(f"    {mutant}")


if __name__ == "__main__":
    sys.exit(main())
