"""Parses source files for tests that read code."""

from __future__ import annotations

import ast
from pathlib import Path

_TRIES = 5


def parse(source: Path | str) -> ast.Module:
    """The syntax tree of a file, or of a text.

    CPython 3.11 now and then miscounts its own depth, and says so with a SystemError (gh-106905).
    """
    text = source if isinstance(source, str) else source.read_text("utf-8")
    for _ in range(_TRIES - 1):
        try:
            return ast.parse(text)
        except SystemError:
            continue
    return ast.parse(text)
