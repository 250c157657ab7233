"""Where interpreters say that their code is, compared with what they print themselves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.remote.interpreters import Python, found
from tests.remote.started import started
from waitspy.model.code_origin import CodePath, Homes, Origin, Program
from waitspy.model.stacks import Frame
from waitspy.remote import layouts
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Memory
from waitspy.remote.objects import Objects
from waitspy.remote.reader import Reader

pytestmark = pytest.mark.ptrace

SAYS = """
import json, os, sys
sys.path[:] = [*sys.path, "/long/" + 300 * "x", "/m\u00fcll", 5]
if len(sys.argv) > 1:
    sys.frozen, sys._MEIPASS, sys.argv = True, "/bundle", None
print(json.dumps({
    "path": [p for p in sys.path if p != 5],
    "prefixes": [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix],
    "library": os.path.dirname(os.__file__),
    "argv0": sys.argv and sys.argv[0],
}), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("python", [pytest.param(p, id=str(p)) for p in found()])
def test_what_an_interpreter_says_of_its_code(python: Python, tmp_path: Path) -> None:
    (tmp_path / "says.py").write_text(SAYS, "utf-8")
    with started(python, tmp_path / "says.py") as target:
        (facts,) = Reader(target.pid).import_facts()
    assert list(facts.path) == target.truth["path"]
    assert list(facts.prefixes) == target.truth["prefixes"]
    assert facts.library == target.truth["library"]
    assert facts.argv0 == target.truth["argv0"] == str(tmp_path / "says.py")
    assert (facts.frozen, facts.bundle) == (False, None)


@pytest.mark.parametrize("python", [pytest.param(p, id=str(p)) for p in found()[-1:]])
def test_what_a_frozen_program_says(python: Python, tmp_path: Path) -> None:
    (tmp_path / "says.py").write_text(SAYS, "utf-8")
    with started(python, tmp_path / "says.py", "frozen") as target:
        (facts,) = Reader(target.pid).import_facts()
    assert (facts.frozen, facts.bundle, facts.argv0) == (True, "/bundle", None)


def test_frames_know_whose_they_are() -> None:
    folder = f"/{'d' * 300}"  # longer than other texts are read
    code = compile("def f(): pass", f"{folder}/slow.py", "exec")
    objects = Objects(Memory(os.getpid()), layouts.of_version(sys.version_info[:2]))
    frames = Frames(objects)
    assert frames.code(id(code)) == Frame("<module>", f"{folder}/slow.py", 1)
    frames.know(Homes([Program((CodePath(folder, "packages"),))]))
    known = frames.code(id(code))
    assert (known.file, known.origin) == (f"{folder}/slow.py", Origin.PACKAGE)
