"""Programs that are packed with their packages: their own code is blamed, not the package's."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipapp
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.live.running import record, starved_by_itself, target
from waitspy.model.code_origin import Origin
from waitspy.recording import loading

pytestmark = pytest.mark.ptrace

APP = """
import asyncio
import json

import slow.api


def view():
    slow.api.call()


async def main():
    print(json.dumps({"ready": True}), flush=True)
    while True:
        asyncio.get_running_loop().call_later(0.05, view)
        await asyncio.sleep(0.1)


asyncio.run(main())
"""
SLOW = """
import time


def call():
    exec("f()", {"f": lambda: time.sleep(0.4)})
"""
RECORD = "slow/__init__.py,,\nslow/api.py,,\nslow-1.0.dist-info/RECORD,,\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
METADATA = "Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n"


def package(folder: Path) -> Path:
    """The package as an installer leaves it."""
    (folder / "slow").mkdir(parents=True)
    (folder / "slow" / "__init__.py").touch()
    (folder / "slow" / "api.py").write_text(SLOW, "utf-8")
    (folder / "slow-1.0.dist-info").mkdir()
    (folder / "slow-1.0.dist-info" / "RECORD").write_text(RECORD, "utf-8")
    (folder / "slow-1.0.dist-info" / "METADATA").write_text(METADATA, "utf-8")
    return folder


def zipped(folder: Path) -> Sequence[str]:
    (package(folder / "app") / "__main__.py").write_text(APP, "utf-8")
    zipapp.create_archive(folder / "app", folder / "app.pyz")
    return [sys.executable, str(folder / "app.pyz")]


def beside_its_packages(folder: Path) -> Sequence[str]:
    """As ``pip install --target`` fills the folder of a function for AWS Lambda."""
    (package(folder / "task") / "main.py").write_text(APP, "utf-8")
    return [sys.executable, str(folder / "task" / "main.py")]


def in_wheels(folder: Path) -> Sequence[str]:
    """Each package in a folder of its own, which its start puts on the path."""
    wheel = package(folder / "pex" / ".deps" / "slow-1.0-py3-none-any.whl")
    (folder / "pex" / "app.py").write_text(APP, "utf-8")
    start = f"import sys\nsys.path.append({str(wheel)!r})\nimport app\n"
    (folder / "pex" / "__main__.py").write_text(start, "utf-8")
    return [sys.executable, str(folder / "pex")]


def pex(folder: Path) -> Sequence[str]:
    package(folder / "slow")
    (folder / "slow" / "slow-1.0.dist-info" / "WHEEL").write_text(WHEEL, "utf-8")
    wheel = shutil.make_archive(str(folder / "slow"), "zip", folder / "slow")
    (folder / "src").mkdir()
    (folder / "src" / "app.py").write_text(APP, "utf-8")
    made = Path(wheel).rename(folder / "slow-1.0-py3-none-any.whl")
    own = ["--pex-root", str(folder / "root"), "--runtime-pex-root", str(folder / "root")]
    subprocess.run(
        [sys.executable, "-m", "pex", str(made), "-D", "src", "-m", "app", "-o", "app.pex",
         "--no-index", *own],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return [sys.executable, str(folder / "app.pex")]


def frozen(folder: Path, how: str) -> Sequence[str]:
    if importlib.util.find_spec("PyInstaller") is None:
        pytest.skip("PyInstaller is not installed")
    source = package(folder / "source")
    (source / "app.py").write_text(APP, "utf-8")
    subprocess.run(
        [sys.executable, "-m", "PyInstaller", how, "--copy-metadata", "slow", "app.py"],
        cwd=source,
        check=True,
        capture_output=True,
    )
    shutil.rmtree(source / "slow")  # what runs is in the program
    made = source / "dist" / "app"
    return [str(made / "app" if made.is_dir() else made)]


def frozen_folder(folder: Path) -> Sequence[str]:
    return frozen(folder, "--onedir")


def frozen_file(folder: Path) -> Sequence[str]:
    return frozen(folder, "--onefile")


@pytest.mark.may_skip
@pytest.mark.parametrize(
    "pack",
    [
        zipped,
        beside_its_packages,
        in_wheels,
        pytest.param(pex, marks=pytest.mark.slow),
        pytest.param(frozen_folder, marks=pytest.mark.slow),
        pytest.param(frozen_file, marks=pytest.mark.slow),
    ],
)
def test_the_programs_own_code_is_blamed(
    pack: Callable[[Path], Sequence[str]], tmp_path: Path
) -> None:
    with target(pack(tmp_path)) as server:
        report = record(server.pid, tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "blocked-loop"
    assert finding["blame"]["function"] == "view", finding["blame"]
    recording = loading.load(str(tmp_path / "rec"))
    whose = {f.function.rpartition(".")[2]: f.home for f in recording.stacks.frames}
    assert whose["view"].origin is Origin.USER
    assert (whose["call"].origin, whose["call"].package) == (Origin.PACKAGE, "slow")
    assert whose["call"].short == "slow/api.py"
    assert whose["_run_once"].origin is Origin.STDLIB
