"""Guards of the layout: the pure half stays pure, names stay honest, registries agree, files small."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler.model import WEIGHTS
from profiler.render import FLAMEGRAPHS, REPORTS
from scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("profiler", "scenarios")
MOST_LINES = 450

PURE = frozenset({
    "profiler.analysis", "profiler.blame", "profiler.chrometrace", "profiler.classify",
    "profiler.code_origin", "profiler.episodes", "profiler.errors", "profiler.findings",
    "profiler.loading", "profiler.loops", "profiler.merge", "profiler.model",
    "profiler.backlog", "profiler.composition", "profiler.fifo", "profiler.pending_work",
    "profiler.pools", "profiler.queue_events", "profiler.starvation",
    "profiler.remedies", "profiler.streams", "profiler.syscalls", "profiler.timeline",
    "profiler.loop_events", "profiler.service", "profiler.victims", "profiler.waits",
})  # fmt: skip
"""Right of the recording: same input, same output, without a process to look at."""

BOTH = frozenset({"profiler", "profiler.recording"})
"""What the pure half may import besides: the recording's own format, which both halves share."""

LIVE = frozenset({
    "profiler.attachment", "profiler.capture", "profiler.command", "profiler.descriptors",
    "profiler.discover", "profiler.doctor", "profiler.interpreter", "profiler.oracles",
    "profiler.permissions", "profiler.procfs", "profiler.proctree", "profiler.samplers",
    "profiler.sources", "profiler.stopping", "profiler.unread",
})  # fmt: skip
"""Left of it: these look at processes, and are what the guards below must be able to catch."""

FOREIGN = frozenset({"ctypes", "psutil", "subprocess"})
COMPOSERS = frozenset({"profiler.cli", "profiler.__main__"})


def modules() -> dict[str, Path]:
    """Every module of the project's packages, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports anywhere in it, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def is_pure(name: str) -> bool:
    return name in PURE or name == "profiler.render" or name.startswith("profiler.render.")


# --- the two halves ---------------------------------------------------------------------------------


def test_the_lists_name_modules_that_exist() -> None:
    assert MODULES.keys() >= PURE | BOTH | LIVE | COMPOSERS
    assert not PURE & LIVE


@pytest.mark.parametrize("name", [n for n in MODULES if is_pure(n)])
def test_a_pure_module_imports_the_pure_half_only(name: str) -> None:
    for imported in imports(MODULES[name]):
        top = imported.split(".")[0]
        assert top not in FOREIGN, f"{name} imports {imported}"
        assert top != "scenarios", f"{name} imports {imported}"
        if top == "profiler":
            assert is_pure(imported) or imported in BOTH, f"{name} imports {imported}"


def test_stages_do_not_import_what_renders_them() -> None:
    for name in PURE:
        assert not any(i.startswith("profiler.render") for i in imports(MODULES[name])), name


def test_the_format_that_both_halves_share_imports_neither() -> None:
    for name in BOTH:
        found = {i for i in imports(MODULES[name]) if i.startswith("profiler")}
        assert found <= {"profiler.errors", "profiler.model"}


def test_only_the_command_line_composes_both_halves() -> None:
    """What captures does not judge; what judges does not capture."""
    for name, path in MODULES.items():
        found = set(imports(path))
        judges = found & {"profiler.analysis", "profiler.findings", "profiler.episodes"}
        captures = {i for i in found if any(i == n or i.startswith(f"{n}.") for n in LIVE)}
        assert name in COMPOSERS or not (judges and captures), (name, judges, captures)


def test_only_the_command_line_prints_and_exits() -> None:
    for name, path in MODULES.items():
        if name in COMPOSERS or not name.startswith("profiler"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"print", "sys.exit", "exit", "os._exit"}, (name, called)


def loaded_by(*names: str) -> set[str]:
    """Modules that a fresh interpreter has after importing those."""
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    return set(done.stdout.decode().split())


def test_importing_the_pure_half_loads_nothing_live() -> None:
    loaded = loaded_by(*sorted(PURE))
    assert loaded >= PURE
    assert not loaded & LIVE
    assert not loaded & FOREIGN
    assert not {name for name in loaded if name.startswith(("rich", "click", "elftools"))}


def test_importing_the_renderers_loads_nothing_live() -> None:
    loaded = loaded_by("profiler.render")
    assert not loaded & LIVE


def test_importing_the_live_half_is_what_these_guards_catch() -> None:
    loaded = loaded_by("profiler.capture")
    assert loaded & LIVE
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
    assert not [name for name in MODULES if "waitspy" in name]


# --- registries -------------------------------------------------------------------------------------


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


def test_a_format_is_either_a_report_or_a_flamegraph() -> None:
    assert not REPORTS.keys() & FLAMEGRAPHS.keys()


def test_scenarios_are_registered_under_their_own_names() -> None:
    for name, scenario in SCENARIOS.items():
        assert scenario.name == name
        assert scenario.module == f"scenarios.{name.replace('-', '_')}"
        assert importlib.util.find_spec(scenario.module) is not None
        assert scenario.summary
        assert "\n" not in scenario.summary


def test_every_scenario_is_registered() -> None:
    known = {scenario.module for scenario in SCENARIOS.values()}
    found = {n for n in MODULES if n.count(".") == 1 and n.startswith("scenarios.")}
    assert found - {"scenarios.serving"} == known  # that is what the scenarios share


# --- sizes ------------------------------------------------------------------------------------------


_WRITTEN = {".py", ".js", ".ts", ".css", ".html"}


def sources() -> list[Path]:
    return sorted(
        path
        for package in (*PACKAGES, "frontend/src")
        for path in (ROOT / package).rglob("*")
        if path.suffix in _WRITTEN and "assets" not in path.parts
    )


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_too_long(path: Path) -> None:
    length = len(path.read_text("utf-8").splitlines())
    assert length <= MOST_LINES, "split it by noun"


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is(name: str) -> None:
    documented = ast.get_docstring(ast.parse(MODULES[name].read_text("utf-8")))
    assert documented
