"""A server's Python was deleted, or replaced in place by an upgrade, while it runs.

What starves is found as before, and nothing is read from the file that lies there now. Where py-spy is asked for and
needs the file that is gone, the lost stacks are told with that cause; the line is found all the same.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.target.served import blocks, lost, recorded, served, untouched, watched
from tests.live.session import run

OTHER = Path("/bin/sleep")
VERSION = "{}.{}.{}".format(*sys.version_info)


def installed(folder: Path) -> tuple[Path, Path | None]:
    """Copies of this Python's program and, if it has one, of its library, in a folder of its own."""
    real = Path(sys.executable).resolve()
    copy = folder / "bin" / real.name
    (folder / "lib").mkdir(parents=True)
    copy.parent.mkdir()
    shutil.copy(real, copy)
    for library in (real.parents[1] / "lib").glob("libpython3.*.so.*"):
        return copy, Path(shutil.copy(library, folder / "lib"))
    return copy, None


def remove(path: Path, what: str) -> None:
    path.unlink()
    if what == "replaced":
        shutil.copy(OTHER, path)


def environment(folder: Path) -> dict[str, Any]:
    more = {"LD_LIBRARY_PATH": str(folder / "lib"), "PYTHONHOME": sys.base_prefix}
    return {**os.environ, **more}


@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_a_server_whose_program_is_gone_is_recorded(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "installed"
    program, _ = installed(folder)
    with served(by=(program,), env=environment(folder)) as server:
        remove(program, what)
        assert os.readlink(f"/proc/{server.pid}/exe") == f"{program} (deleted)"
        told = recorded(tmp_path, server.pid)
        untouched(server.pid)
    blocks(tmp_path, told, server.pid)
    assert watched(told, server.pid)["python"] == VERSION
    assert lost(told) == []


@pytest.mark.may_skip
@pytest.mark.parametrize("what", ["deleted", "replaced"])
@pytest.mark.parametrize("sampler", ["auto", "py-spy"])
def test_a_server_whose_library_is_gone_lacks_py_spys_stacks(
    tmp_path: Path, what: str, sampler: str
) -> None:
    folder = tmp_path / "installed"
    program, library = installed(folder)
    if library is None:
        pytest.skip("this Python has no library of its own")
    with served(by=(program,), env=environment(folder)) as server:
        remove(library, what)
        assert f"{library} (deleted)" in Path(f"/proc/{server.pid}/maps").read_text()
        told = recorded(tmp_path, server.pid, "--sampler", sampler)
        code, out, _ = run(tmp_path, "doctor", server.pid)
        untouched(server.pid)
    why = f"py-spy cannot open its {library.name}, which was deleted or replaced since it began"
    loss = {"pid": server.pid, "what": "stacks", "why": why, "remedy": "restart the server"}
    assert lost(told) == ([loss] if sampler == "py-spy" else [])
    assert code == 0, out
    assert why in out
    blocks(tmp_path, told, server.pid)
    assert watched(told, server.pid)["python"] == VERSION
