"""A server lives in another root (chroot), where its paths lead to other files than outside.

What starves is found as in any other, with the source that is inside. Where Python is a library, whose path py-spy
does not find there, and py-spy is asked for, the lost stacks are told with that cause; the line is found all the same.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.target.served import SERVER, blocks, lost, recorded, served, untouched, watched
from tests.live.running import starved_by_itself


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder with this Python's files in it, at their places, and the server as /server.py."""
    root = tmp_path / "root"
    root.mkdir()
    places = {Path("/usr"), Path(sys.base_prefix)}
    mounted: list[Path] = []
    try:
        for place in sorted(places):
            inside = root / place.relative_to("/")
            inside.mkdir(parents=True, exist_ok=True)
            if any(place.is_relative_to(other) for other in places - {place}):
                continue
            done = subprocess.run(
                ["mount", "--bind", place, inside], capture_output=True, text=True, check=False
            )
            if done.returncode:
                pytest.skip(f"may not mount: {done.stderr}")
            mounted.append(inside)
        for name in ("lib", "lib64"):
            if (Path("/") / name).is_symlink():
                (root / name).symlink_to(os.readlink(Path("/") / name))
        (root / "srv").mkdir()
        (root / "srv" / SERVER.name).write_text(
            "# another file than outside\n" + SERVER.read_text()
        )
        yield root
    finally:
        for inside in reversed(mounted):
            subprocess.run(["umount", inside], check=True)


@pytest.mark.may_skip
@pytest.mark.parametrize("python", [sys.executable, "/usr/bin/python3"], ids=["ours", "system"])
@pytest.mark.parametrize("sampler", ["auto", "py-spy"])
def test_a_server_in_another_root_is_recorded(
    tmp_path: Path, root: Path, python: str, sampler: str
) -> None:
    program = Path(python).resolve()
    if not program.exists():
        pytest.skip("this system has no Python of its own")
    with served(by=("chroot", root, program), script=f"/srv/{SERVER.name}") as server:
        assert os.readlink(f"/proc/{server.pid}/root") == str(root)
        library = re.search(r"libpython3\.\S*", Path(f"/proc/{server.pid}/maps").read_text())
        told = recorded(tmp_path, server.pid, "--sampler", sampler)
        untouched(server.pid)
    watched(told, server.pid)
    blocks(tmp_path, told, server.pid)
    (finding,) = starved_by_itself(told)
    assert finding["blame"]["file"] == f"/srv/{SERVER.name}"
    if library is None or sampler != "py-spy":
        assert lost(told) == []
        return
    (loss,) = lost(told)
    assert loss["why"] == f"py-spy cannot open its {library[0]}, which its root hides (chroot)"
