"""waitspy may not have the memory that it needs (ulimit -v).

It ends with exit code 1, says in two lines that this is why, and what to do.
"""

from __future__ import annotations

import resource
import subprocess
import sys


def test_without_memory_it_says_that_it_cannot_start() -> None:
    limit = 40 << 20
    done = subprocess.run(
        [sys.executable, "-m", "waitspy", "--version"],
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    what, remedy = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert what.startswith("waitspy: it cannot be loaded: ")
    assert "ulimit" in remedy
