"""Runs pytest; a test that failed beside others has to pass three times alone.

Usage: python -m tests.again [PYTEST_ARGUMENT...]. Live tests watch real processes, and on a machine
that has other work a process may get no CPU for as long as the stall that the test is about. Such a
failure is printed as any other and counted at the end. It ends the run unless the same test passes
three times in a row with nothing beside it; a fault that shows every other time passes that once in
eight. Many failures are never tried again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

_TIMES = 3
_MOST = 3
_TESTS_FAILED = 1  # pytest.ExitCode; others say that it did not get so far


def run(arguments: list[str]) -> int:
    """The exit code of pytest, or 0 if the few tests that failed pass alone each time."""
    with tempfile.TemporaryDirectory() as cache:
        code = _pytest([*arguments, "-o", f"cache_dir={cache}"])
        failed = _failed(Path(cache))
    if code != _TESTS_FAILED or not 0 < len(failed) <= _MOST:
        return code
    for test in failed:
        print(f"\n== failed, and is tried {_TIMES} times alone: {test}", flush=True)
        for _ in range(_TIMES):
            if again := _pytest(["-p", "no:cacheprovider", test]):
                return again
    print(f"\n== failed once, and passed {_TIMES} times alone: {', '.join(failed)}", flush=True)
    return 0


def _pytest(arguments: list[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


def _failed(cache: Path) -> list[str]:
    """Node ids, as pytest's cache has them (``v/cache/lastfailed``)."""
    try:
        return sorted(json.loads((cache / "v/cache/lastfailed").read_text()))
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
