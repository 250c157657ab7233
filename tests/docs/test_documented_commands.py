"""Every command in the documentation runs, page by page, in the order in which it stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.running import ROOT
from tests.live.web import gunicorn, load
from waitspy_scenarios import SCENARIOS

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SLOW = {
    "make test",
    "make demo",
    "make lint",
    "make accuracy",
    "make soak",
    "make assets",
    "make scenarios",
    "make slow",
    "make fuzz",
    "make faults",
    "make libraries",
}  # what runs this test, and what contains it
_INSTALLS = (".venv/", "python3 -m venv")
PAGES = ("README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))


def _commands(name: str) -> list[str]:
    text = (ROOT / name).read_text()
    lines = [line for block in _BLOCK.findall(text) for line in block.splitlines()]
    return [line[2:].split("  #")[0].strip() for line in lines if line.startswith("$ ")]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with gunicorn("asyncio") as port, load(port, "/blocking"):
        yield port


def _run_all(commands: list[str], port: int, folder: Path) -> None:
    """Runs them as they stand there, on a port of ours and for two seconds.

    A page that makes no recording ``rec`` of its own uses one that exists.
    """
    if not any(re.search(r"-o rec( |$)", command) for command in commands):
        shutil.copytree(ROOT / "tests" / "golden" / "parked", folder / "rec")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    screens = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}
    environment = {name: value for name, value in os.environ.items() if name not in screens}
    for command in commands:
        real = re.sub(r"-d \d+", "-d 2", command.replace(":8000", f":{port}"))
        done = subprocess.run(
            shlex.split(real), cwd=folder, env={**environment, "PATH": path},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (real, done.stdout, done.stderr)
        if command.startswith("waitspy record"):  # an example that finds nothing shows nothing
            assert "1. STARVING" in done.stdout, (real, done.stdout, done.stderr)


@pytest.mark.ptrace
@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/gallery.md"])
def test_the_commands_of_a_page(page: str, port: int, tmp_path: Path) -> None:
    commands = [c for c in _commands(page) if not c.startswith(_INSTALLS)]
    if page == "README.md":
        assert len(commands) >= 10
    _run_all(commands, port, tmp_path)
    if page == "README.md":
        assert (tmp_path / "flame.svg").exists()
        assert "blocking" in (tmp_path / "ticket.md").read_text()
        for html in ("ticket.html", "rec/report.html"):
            assert "<!doctype html>" in (tmp_path / html).read_text("utf-8")


def test_the_commands_of_the_gallery_are_those_that_the_scenarios_are_tested_with() -> None:
    tested = {
        f"waitspy scenario run {scenario.name} --profile -- {' '.join(expected.options)}"
        for scenario in SCENARIOS.values()
        for expected in scenario.truth.values()
    }
    shown = _commands("docs/gallery.md")
    assert len(shown) == len(set(shown))
    assert set(shown) <= tested


def test_the_documentation_names_only_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [c for name in ("README.md", "CONTRIBUTING.md") for c in _commands(name)]
    named = {c for c in commands if c.startswith("make ")}
    assert named >= {"make test", "make demo"}
    assert {c.removeprefix("make ") for c in named} <= targets
    assert named <= _SLOW


def test_the_folder_map_names_every_module() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    package = ROOT / "profiler" / "waitspy"
    names = {p.name for p in package.glob("[a-z]*.py")}
    names |= {f"{p.name}/" for p in package.iterdir() if p.is_dir() and p.name[0] != "_"}
    assert {name for name in names if name not in text} == set()


def test_the_package_installs_as_the_readme_says(tmp_path: Path) -> None:
    commands = [c for c in _commands("README.md") if c.startswith((".venv/", "python3 -m venv"))]
    assert len(commands) == 2
    for command in commands:
        real = command.replace(".venv", str(tmp_path / "venv")).replace("python3", sys.executable)
        done = subprocess.run(
            shlex.split(real), cwd=ROOT, capture_output=True, text=True, timeout=170, check=False
        )
        assert done.returncode == 0, done.stderr
    waitspy = tmp_path / "venv" / "bin" / "waitspy"
    for options in (["--version"], ["scenario", "list"], ["doctor"]):
        done = subprocess.run(
            [waitspy, *options], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    golden = str(ROOT / "tests" / "golden" / "parked")
    for options in (
        ["flamegraph", golden, "-o", "x.svg"],
        ["report", golden, "--format", "json"],
        ["view", golden, "--no-open", "-o", "x.html"],
        ["view", golden, "--no-open", "--speedscope", "-o", "y.html"],
    ):
        done = subprocess.run(
            [waitspy, *options], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
