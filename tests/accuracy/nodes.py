"""The Node.js that targets in JavaScript run on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

LOOP = "libuv"


@dataclass(frozen=True)
class Node:
    """A Node.js; without a path there is none on this machine."""

    version: str
    path: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What it is started with: options of whoever runs this are none of the target's."""
        return {k: v for k, v in os.environ.items() if not k.startswith("NODE_")}

    def has(self, *modules: str) -> bool:
        """Whether it can import all of these: targets need nothing but Node's own."""
        return not modules

    def __str__(self) -> str:
        return f"Node.js {self.version}"


def found(more: Iterable[str] = ()) -> tuple[Node, ...]:
    """The node on PATH and those at these paths; without any, one that says so."""
    paths = [path for path in (shutil.which("node"), *more) if path]
    return tuple(Node(_version(path), path) for path in paths) or (Node("(none)", ""),)


def _version(path: str) -> str:
    said = subprocess.check_output([path, "--version"], text=True)
    return said.strip().removeprefix("v")
