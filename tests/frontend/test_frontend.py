"""How the pages' assets come into being: from these sources, with npm, and only where needed."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "profiler" / "waitspy" / "render" / "assets"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The frontend and its assets as a checkout has them, without npm's packages."""
    ignored = shutil.ignore_patterns("node_modules", "__pycache__")
    shutil.copytree(ROOT / "frontend", tmp_path / "frontend", ignore=ignored)
    shutil.copytree(ASSETS, tmp_path / "profiler" / "waitspy" / "render" / "assets")
    return tmp_path


def build(where: Path) -> subprocess.CompletedProcess[str]:
    """Builds where npm cannot be found."""
    return subprocess.run(
        [sys.executable, where / "frontend" / "assets.py"],
        env={**os.environ, "PATH": str(where)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_assets_are_built_from_these_sources() -> None:
    assert runpy.run_path(str(ROOT / "frontend" / "assets.py"))["fresh"](), "run make assets"


def imported_by(source: Path) -> set[Path]:
    """The project's own files that a script names, types included."""
    named = re.findall(r"""(?:from|import) "(\./[^"]+)";""", source.read_text("utf-8"))
    files = (source.parent / f"{name}.ts" for name in named)
    return {file for file in files if file.exists()}


def test_no_script_imports_itself_in_a_circle() -> None:
    left = {source: imported_by(source) for source in (ROOT / "frontend" / "src").glob("*.ts")}
    assert sum(map(len, left.values())) > 20
    while free := {source for source, imported in left.items() if not imported & left.keys()}:
        left = {source: imported for source, imported in left.items() if source not in free}
    assert sorted(source.name for source in left) == []


def test_what_is_fresh_needs_no_npm(copy: Path) -> None:
    assert build(copy).returncode == 0


@pytest.mark.parametrize("change", ["frontend/src/page.css", "frontend/package-lock.json"])
def test_a_changed_source_wants_a_new_build(copy: Path, change: str) -> None:
    with (copy / change).open("a", encoding="utf-8") as file:
        file.write("\n")
    done = build(copy)
    assert done.returncode == 1
    assert done.stderr == "npm is needed to build the pages' scripts: apt install npm\n"


def test_missing_assets_want_a_build(copy: Path) -> None:
    shutil.rmtree(copy / "profiler" / "waitspy" / "render" / "assets")
    assert build(copy).returncode == 1


def test_the_lock_file_leaves_the_registry_to_npms_own_settings() -> None:
    lock = json.loads((ROOT / "frontend" / "package-lock.json").read_text("utf-8"))
    hosts = [one["resolved"] for one in lock["packages"].values() if "resolved" in one]
    assert [host for host in hosts if not host.startswith("https://registry.npmjs.org/")] == []
    about = json.loads((ROOT / "frontend" / "package.json").read_text("utf-8"))
    wanted = about["dependencies"] | about["devDependencies"]
    assert {f"node_modules/{name}" for name in wanted} <= lock["packages"].keys()


@pytest.mark.parametrize("name", ["page.js", "page.css", "speedscope.js", "speedscope.css"])
def test_built_texts_stay_inside_their_elements(name: str) -> None:
    text = (ASSETS / name).read_text("utf-8").lower()
    assert "</script" not in text
    assert "</style" not in text
    assert "<!--" not in text


def test_all_that_is_inside_has_its_licence() -> None:
    page = (ASSETS / "page.licences.txt").read_text("utf-8")
    for name in ("d3-flame-graph", "d3-scale", "d3-selection", "d3-hierarchy", "d3-transition"):
        assert f"{name} " in page
    viewer = (ASSETS / "speedscope.licences.txt").read_text("utf-8")
    assert "speedscope " in viewer
    assert "Source Code Pro" in viewer
