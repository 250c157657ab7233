"""Runnable servers with known truth: each scenario is an ordinary program and states its answer.

A scenario is a module (or a package with a ``__main__``) that runs with ``python -m``, needs
nothing beyond what its docstring names, and defines ``TRUTH``: per variant, the options that run
it and what a profiler must say about it. A new scenario is one new file and one line in
``SCENARIOS``. This module imports no scenario, so that listing them needs none of their
dependencies.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True, slots=True)
class Expected:
    """What a profiler must say of one variant of a scenario.

    ``options`` run the variant. ``kind`` is the kind of the one finding with verdict "starving",
    None when there must be none. ``function`` and ``file`` (relative to the ``scenarios`` package)
    are its blame. ``victims`` are the kinds that may wait; at least one of them must appear.
    ``longest_s`` bounds its longest episode, None when it is not bounded. With ``required`` False
    the finding may be missing, but if there is one it must be this one.
    """

    options: tuple[str, ...]
    kind: str | None = None
    function: str | None = None
    file: str | None = None
    victims: frozenset[str] = frozenset()
    longest_s: float | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """One entry of the registry: its name, one line about it, and the module that runs it."""

    name: str
    summary: str
    module: str

    @property
    def truth(self) -> Mapping[str, Expected]:
        """The scenario's ``TRUTH``, by name of the variant; imports its module."""
        return cast("Mapping[str, Expected]", importlib.import_module(self.module).TRUTH)

    def command(self, *options: str) -> list[str]:
        """The command that runs it with this interpreter."""
        return [sys.executable, "-m", self.module, *options]


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "buffer-vs-job",
            "idle workers park outside their loop and freeze the flushes left behind",
            "scenarios.buffer_vs_job",
        ),
    )
}
