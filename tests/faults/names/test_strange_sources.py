"""What a program names as its source is a folder, a pipe, a device, a link to a secret or to itself.

Nothing is waited for and nothing of it is read; stacks and findings are there without its lines.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.faults.names.naming import recorded, variants

NAMES = ("folder", "pipe", "shadow", "kmsg", "zero", "loop", "dangling", "climbing")


def make(folder: Path, name: str) -> Path:
    path = folder / f"{name}.py"
    links = {
        "shadow": "/etc/shadow",
        "kmsg": "/proc/kmsg",
        "zero": "/dev/zero",
        "loop": path.name,
        "dangling": "nowhere.py",
        "climbing": "../" * 50 + "etc/shadow",
    }
    if name == "folder":
        path.mkdir()
    elif name == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(links[name])
    return path


@pytest.mark.parametrize("name", variants({n: n for n in NAMES}, "pipe", "shadow"))
def test_its_lines_are_left_out(tmp_path: Path, name: str) -> None:
    path = make(tmp_path, name)
    report = recorded(tmp_path, str(path))
    blames = [f["blame"] for f in report["findings"] if f["blame"]]
    assert str(path) in {blame.get("file") for blame in blames}
    assert not [blame for blame in blames if blame.get("source")]
    lines = json.loads((tmp_path / "rec" / "sources.json").read_text("utf-8"))
    assert not lines.get(str(path))
    assert b"root:" not in (tmp_path / "rec" / "sources.json").read_bytes()
