"""Guards of the layout: the pure half stays pure, names stay honest, registries agree, files small."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import pytest

from tests.parsing import parse
from waitspy.commands import registry
from waitspy.model.judged import WEIGHTS
from waitspy.model.oracle_names import WATCHED
from waitspy.oracles.registry import make_oracles
from waitspy.render import FLAMEGRAPHS, REPORTS
from waitspy_scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[1]
ROOTS = ("profiler", "scenarios")
MOST_LINES = 450

PURE = ("waitspy.judge", "waitspy.render")
"""Right of the recording: same input, same output, without a process to look at."""

VALUES = ("waitspy.model", "waitspy.recording", "waitspy.errors")
"""What both halves share: the values and the recording's own format. It imports neither half."""

COMMANDS = ("waitspy.commands", "waitspy.cli", "waitspy.__main__")
"""They alone see both halves, print and exit."""

LIBRARY = "waitspy.library"
"""What a program gets of the pure half, and the commands with it: from the folder to the report."""

COMPOSERS = ("waitspy.capture", *COMMANDS)
"""What may bring the parts of the live half together."""

SUBJECTS = frozenset(
    {
        "children",
        "code_origin",
        "gil",
        "stacks",
        "threads",
        "thread_groups",
        "epolls",
        "loops",
        "libuv",
        "pools",
        "pool_jobs",
        "listeners",
        "datagrams",
        "messages",
        "requests",
        "wait_for",
        "connection_pools",
        "file_locks",
        "task_waits",
        "places",
        "waits",
        "reports",
        "registry",
    }
)
"""What a file can be about in several stages; and a folder of siblings has its registry."""

FOREIGN = frozenset({"ctypes", "psutil", "subprocess"})


def modules() -> dict[str, Path]:
    """Every module of the project's packages, by its dotted name."""
    found = {}
    for root in ROOTS:
        for path in sorted((ROOT / root).rglob("*.py")):
            parts = path.relative_to(ROOT / root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def below(name: str, *folders: str) -> bool:
    """Whether a module is one of these packages or lies in one."""
    return any(name == folder or name.startswith(f"{folder}.") for folder in folders)


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports anywhere in it, also inside functions."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


# --- the two halves ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in MODULES if below(n, *PURE, *VALUES)])
def test_a_pure_module_imports_values_and_its_own_folder_only(name: str) -> None:
    own = [folder for folder in (*PURE, *VALUES) if below(name, folder)]
    for imported in imports(MODULES[name]):
        top = imported.split(".")[0]
        assert top not in FOREIGN | {"waitspy_scenarios"}, f"{name} imports {imported}"
        if top == "waitspy":
            assert imported == "waitspy" or below(imported, *VALUES, *own), (
                f"{name} imports {imported}"
            )


def test_only_what_composes_sees_the_recording_being_made() -> None:
    for name, path in MODULES.items():
        if not below(name, *COMPOSERS):
            found = [i for i in imports(path) if below(i, *COMPOSERS)]
            assert not found, f"{name} imports {found}"


def test_only_the_commands_see_both_halves() -> None:
    """What captures does not judge; what judges does not capture."""
    for name, path in MODULES.items():
        if below(name, "waitspy") and not below(name, *COMMANDS, *PURE, LIBRARY):
            assert not [i for i in imports(path) if below(i, *PURE)], name


def test_ctypes_is_in_one_place() -> None:
    users = {n for n, p in MODULES.items() if below(n, "waitspy") and "ctypes" in imports(p)}
    assert users == {"waitspy.kernel.calls"}


def test_only_the_commands_print_and_exit() -> None:
    for name, path in MODULES.items():
        if below(name, *COMMANDS) or not below(name, "waitspy"):
            continue
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"print", "sys.exit", "exit", "os._exit"}, (name, called)


def loaded_by(*names: str, then: str = "") -> set[str]:
    """Modules that a fresh interpreter has after importing those, and then running that."""
    code = f"import sys, {', '.join(names)}; {then or 'pass'}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    return set(done.stdout.decode().split())


def live(names: set[str]) -> set[str]:
    return {n for n in names if below(n, "waitspy") and not below(n, *PURE, *VALUES)} - {"waitspy"}


@pytest.mark.parametrize("half", PURE)
def test_importing_the_pure_half_loads_nothing_live(half: str) -> None:
    wanted = {name for name in MODULES if below(name, half)}
    loaded = loaded_by(*sorted(wanted))
    assert loaded >= wanted
    assert not live(loaded)
    assert not {name for name in loaded if name.startswith(("click", "elftools", "psutil"))}


def test_the_library_is_made_of_the_pure_half() -> None:
    loaded = loaded_by(LIBRARY)
    assert live(loaded) == {LIBRARY}
    assert not {name for name in loaded if name.startswith(("click", "elftools", "psutil"))}


def test_a_report_does_not_wait_for_what_looks_into_processes() -> None:
    loaded = loaded_by("waitspy.cli", then="waitspy.cli.load(['report', 'rec'])")
    assert "waitspy.commands.reports" in loaded
    looking = ("target", "kernel", "remote", "samplers", "oracles")
    assert not {
        name for name in loaded if below(name, *(f"waitspy.{folder}" for folder in looking))
    }
    assert not {name for name in loaded if name.startswith(("elftools", "psutil"))}


def test_importing_the_package_loads_next_to_nothing() -> None:
    assert {name for name in loaded_by("waitspy") if below(name, "waitspy")} == {
        *("waitspy", "waitspy.errors"),
    }
    assert not loaded_by("waitspy") & {"numpy", "msgspec", "rich", "click"}


def test_importing_the_live_half_is_what_these_guards_catch() -> None:
    loaded = loaded_by("waitspy.capture.session")
    assert live(loaded)
    assert loaded & FOREIGN


# --- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_no_module_is_named_like_one_of_the_library(name: str) -> None:
    last = name.rsplit(".", 1)[-1]
    assert last.startswith("__") or last not in sys.stdlib_module_names


@pytest.mark.parametrize("name", MODULES)
def test_no_module_has_a_name_that_says_nothing(name: str) -> None:
    words = set(name.rsplit(".", 1)[-1].split("_"))
    assert not words & {"utils", "util", "common", "base", "manager", "helpers", "misc"}


def test_no_module_carries_the_projects_name() -> None:
    assert not [name for name in MODULES if "waitspy" in name.partition(".")[2]]


def test_no_two_classes_share_a_name() -> None:
    where: dict[str, list[str]] = {}
    for name, path in MODULES.items():
        if below(name, "waitspy"):
            for node in ast.walk(parse(path)):
                if isinstance(node, ast.ClassDef):
                    where.setdefault(node.name, []).append(name)
    assert {cls: names for cls, names in where.items() if len(names) > 1} == {}


def test_only_a_subject_is_the_name_of_several_modules() -> None:
    """``ls */pools.py`` answers what waitspy does with pools, and finds nothing else."""
    where: dict[str, list[str]] = {}
    for name in MODULES:
        if below(name, "waitspy"):
            where.setdefault(name.rsplit(".", 1)[-1], []).append(name)
    several = {last: names for last, names in where.items() if len(names) > 1}
    assert {last: names for last, names in several.items() if last not in SUBJECTS} == {}


# --- registries -------------------------------------------------------------------------------------


def with_their_own(commands: Iterable[click.Command]) -> Iterator[click.Command]:
    for command in commands:
        yield command
        if isinstance(command, click.Group):
            yield from with_their_own(command.commands.values())


def test_every_command_is_registered_once() -> None:
    registered = map(registry.command, registry.COMMANDS)
    known = [id(command) for command in with_their_own(registered)]
    assert len(known) == len(set(known))
    for name in (n for n in MODULES if below(n, "waitspy.commands")):
        for key, value in vars(importlib.import_module(name)).items():
            assert not isinstance(value, click.Command) or id(value) in known, (name, key)


def test_reports_are_registered_under_their_own_names() -> None:
    for name, make in REPORTS.items():
        renderer = make()
        assert renderer.name == name
        assert re.fullmatch(r"[a-z][a-z0-9]*(\.[a-z0-9]+)*", renderer.extension)
        assert isinstance(renderer.binary, bool)


def test_flamegraphs_are_registered_under_their_own_names() -> None:
    for name, make in FLAMEGRAPHS.items():
        for weight in WEIGHTS:
            renderer = make(weight)
            assert renderer.name == name
            assert re.fullmatch(r"[a-z][a-z0-9]*(\.[a-z0-9]+)*", renderer.extension)
            assert isinstance(renderer.binary, bool)
            assert isinstance(renderer.weighed, bool)


def test_a_format_is_either_a_report_or_a_flamegraph() -> None:
    assert not REPORTS.keys() & FLAMEGRAPHS.keys()


def test_every_oracle_is_named_once() -> None:
    names = [oracle.name for oracle in make_oracles(0.1)]
    assert sorted(names) == sorted(WATCHED)


def test_scenarios_are_registered_under_their_own_names() -> None:
    for name, scenario in SCENARIOS.items():
        assert scenario.name == name
        assert scenario.module == f"waitspy_scenarios.{name.replace('-', '_')}"
        assert importlib.util.find_spec(scenario.module) is not None
        assert scenario.summary
        assert "\n" not in scenario.summary


def test_every_scenario_is_registered() -> None:
    known = {scenario.module for scenario in SCENARIOS.values()}
    found = {n for n in MODULES if n.count(".") == 1 and n.startswith("waitspy_scenarios.")}
    assert found - {"waitspy_scenarios.serving"} == known  # that is what the scenarios share


# --- sizes ------------------------------------------------------------------------------------------


_WRITTEN = {".py", ".js", ".ts", ".css", ".html"}


_GENERATED = {ROOT / "profiler" / "waitspy" / "remote" / "layout_tables.py"}


def sources() -> list[Path]:
    return sorted(
        path
        for package in (*ROOTS, "frontend/src")
        for path in (ROOT / package).rglob("*")
        if path.suffix in _WRITTEN and "assets" not in path.parts and path not in _GENERATED
    )


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_too_long(path: Path) -> None:
    length = len(path.read_text("utf-8").splitlines())
    assert length <= MOST_LINES, "split it by noun"


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is(name: str) -> None:
    documented = ast.get_docstring(parse(MODULES[name]))
    assert documented
