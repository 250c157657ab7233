"""The registry of scenarios: every entry is complete, runs, and states a truth that can be met."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import waitspy_scenarios
from tests.parsing import parse
from waitspy.model.judged import Victim
from waitspy.model.kinds import KINDS
from waitspy.model.waits import WaitKind
from waitspy_scenarios import SCENARIOS, Expected, Scenario

PACKAGE = Path(waitspy_scenarios.__file__).parent
VICTIMS = set(get_args(get_type_hints(Victim)["kind"]))

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())


def qualified_names(node: ast.AST, prefix: str = "") -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name
            yield from qualified_names(child, f"{prefix}{child.name}.<locals>.")
        elif isinstance(child, ast.ClassDef):
            yield from qualified_names(child, f"{prefix}{child.name}.")
        else:
            yield from qualified_names(child, prefix)


def help_of(scenario: Scenario) -> str:
    return subprocess.run(
        scenario.command("--help"), capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_listing_imports_no_scenario() -> None:
    modules = [scenario.module for scenario in SCENARIOS.values()]
    code = f"import sys, waitspy_scenarios; sys.exit(any(m in sys.modules for m in {modules!r}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_file_of_the_package_is_registered() -> None:
    found = {
        f"waitspy_scenarios.{path.stem}"
        for path in PACKAGE.iterdir()
        if path.name != "__init__.py" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    assert found - {"waitspy_scenarios.serving"} == {
        scenario.module for scenario in SCENARIOS.values()
    }


@each_scenario
def test_entry_is_complete(scenario: Scenario) -> None:
    assert SCENARIOS[scenario.name] is scenario
    assert scenario.summary.strip() == scenario.summary != ""
    assert "\n" not in scenario.summary
    with pytest.raises(FrozenInstanceError):
        scenario.name = "other"  # type: ignore[misc]


@each_scenario
def test_runs_and_knows_the_options_of_its_truth(scenario: Scenario) -> None:
    text = help_of(scenario)
    options = {
        option
        for expected in scenario.truth.values()
        for option in expected.options
        if option.startswith("--")
    } | {"--healthy"}
    assert {option for option in options if option not in text} == set()


@each_scenario
def test_truth_states_something_to_find_and_something_to_stay_silent_about(
    scenario: Scenario,
) -> None:
    kinds = [expected.kind for expected in scenario.truth.values()]
    assert None in kinds
    assert any(kind is not None for kind in kinds)


def ill_formed(expected: Expected) -> list[str]:
    """What is wrong with one variant's truth."""
    if expected.kind is None:
        silent = Expected(expected.options, hidden=expected.hidden)
        return [] if expected == silent else ["silence has neither blame nor victims"]
    wrong = [f"unknown kind {k}" for k in {expected.kind, *expected.also} if k not in KINDS]
    if expected.kind in KINDS and expected.verdict not in KINDS[expected.kind].verdicts:
        wrong.append(f"{expected.kind} is never {expected.verdict}")
    if not expected.victims or expected.victims - VICTIMS:
        wrong.append(f"victims {expected.victims}")
    if expected.wait is not None and expected.wait not in set(WaitKind):
        wrong.append(f"wait {expected.wait}")
    if expected.longest_s is not None and expected.longest_s <= 0:
        wrong.append("longest_s")
    if expected.share is not None and (expected.load_s is None or expected.share[0] <= 0):
        wrong.append("a share needs --seconds, and something to fall short of")
    return wrong + wrong_blame(expected)


def wrong_blame(expected: Expected) -> list[str]:
    if expected.file is None and expected.function is not None and expected.source is None:
        return []
    if expected.path is None:
        return [f"no file {expected.file}"]
    text = expected.path.read_text()
    wrong = []
    if expected.path.suffix == ".js":
        names = set(re.findall(r"^(?:async )?function (\w+)\(", text, re.MULTILINE))
    else:
        names = set(qualified_names(parse(text)))
    if expected.function not in names:
        wrong.append(f"no function {expected.function} in {expected.file}")
    if expected.source is not None and expected.source not in map(str.strip, text.splitlines()):
        wrong.append(f"no line {expected.source!r} in {expected.file}")
    return wrong


@each_scenario
def test_truth_is_well_formed(scenario: Scenario) -> None:
    wrong = {name: ill_formed(expected) for name, expected in scenario.truth.items()}
    assert {name: faults for name, faults in wrong.items() if faults} == {}


_RIGHT = Expected(
    (), "parked-loop", "main", "buffer_vs_job/worker.py", frozenset({"io"}), source="def main() -> None:",
)  # fmt: skip


def test_the_check_of_truths_accepts_a_right_one() -> None:
    assert ill_formed(_RIGHT) == []


@pytest.mark.parametrize(
    "expected",
    [
        Expected((), function="Worker.wait_for_message"),
        Expected((), victims=frozenset({"io"})),
        Expected((), "parked-loop", "nowhere", "buffer_vs_job/worker.py", frozenset({"io"})),
        Expected((), "parked-loop", "main", "nowhere.py", frozenset({"io"})),
        Expected((), "parked-loop", "main", "buffer_vs_job/worker.py", frozenset()),
        replace(_RIGHT, verdict="late"),
        replace(_RIGHT, wait="nap"),
        replace(_RIGHT, source="no such line"),
        replace(_RIGHT, also=frozenset({"sleepy-loop"})),
        replace(_RIGHT, share=(0.5, 1.0)),
        Expected((), "parked-loop", "main", "buffer_vs_job/worker.py", frozenset({"ghost"})),
        Expected((), "sleepy-loop", "main", "buffer_vs_job/worker.py", frozenset({"io"})),
    ],
)
def test_the_check_of_truths_finds_faults(expected: Expected) -> None:
    assert ill_formed(expected)
