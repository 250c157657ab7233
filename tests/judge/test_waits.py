"""The catalogue of waits: rows are well-formed, reachable, and name what the library really has."""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from types import CodeType

import pytest

from waitspy.judge import waits
from waitspy.model import syscalls
from waitspy.model.waits import WaitKind

MODULES = {
    "concurrent/futures/thread.py": "concurrent.futures.thread",
    "concurrent/futures/process.py": "concurrent.futures.process",
    "concurrent/futures/_base.py": "concurrent.futures._base",
    "multiprocessing/pool.py": "multiprocessing.pool",
    "multiprocessing/process.py": "multiprocessing.process",
    "multiprocessing/queues.py": "multiprocessing.queues",
    "multiprocessing/connection.py": "multiprocessing.connection",
    "multiprocessing/synchronize.py": "multiprocessing.synchronize",
    "/logging/__init__.py": "logging",
    waits.ASGIREF: "asgiref.current_thread_executor",
}
KNOWN_SYSCALLS = frozenset().union(*(table.values() for table in syscalls.TABLES.values()))


def functions(file: str) -> set[str]:
    """Names of all functions in a module of this interpreter's library."""
    name = MODULES.get(file) or file.removeprefix("/").removesuffix(".py")
    source = inspect.getsourcefile(importlib.import_module(name))
    assert source is not None
    found: set[str] = set()
    waiting = [compile(Path(source).read_text("utf-8"), source, "exec")]
    while waiting:
        code = waiting.pop()
        found.add(code.co_name)
        waiting.extend(c for c in code.co_consts if isinstance(c, CodeType))
    return found


@cache
def functions_of_node(module: str) -> set[str]:
    """The names of a module's own functions, as Node.js itself gives them."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("this machine has no node")
    names = f"Object.values(require('{module}')).map((one) => one && one.name).join(' ')"
    said = subprocess.run([node, "-p", names], capture_output=True, text=True, check=True)
    return set(said.stdout.split())


@pytest.mark.parametrize("row", waits.FRAMES, ids=lambda row: f"{row.call} in {row.file}")
def test_every_frame_row_names_functions_that_exist(row: waits.FrameRow) -> None:
    assert row.functions
    assert row.call
    # A row may also serve other versions of Python: one of its names must be in this one.
    names = (
        functions_of_node(row.file[1:]) if row.file.startswith("/node:") else functions(row.file)
    )
    assert row.functions & names


@pytest.mark.parametrize("row", waits.FRAMES, ids=lambda row: f"{row.call} in {row.file}")
def test_no_earlier_row_hides_a_frame_row(row: waits.FrameRow) -> None:
    earlier = waits.FRAMES[: waits.FRAMES.index(row)]
    for function in row.functions:
        hiding = [
            one.call
            for one in earlier
            if function in one.functions
            and row.file.endswith(one.file)
            and not one.leaf
            and (not one.inner or one.inner >= row.inner > frozenset())
        ]
        assert not hiding, f"{function} is always {hiding}"


def test_every_call_row_names_system_calls_that_exist() -> None:
    for row in waits.CALLS:
        assert row.syscalls <= KNOWN_SYSCALLS, row.pattern.pattern


def test_every_lone_system_call_exists() -> None:
    assert waits.SYSCALLS.keys() <= KNOWN_SYSCALLS


def test_a_call_pattern_matches_the_last_name_only() -> None:
    sleep = next(row for row in waits.CALLS if row.kind is WaitKind.SLEEP)
    for call, expected in {
        "sleep": True,
        "time.sleep": True,
        "self._clock.sleep": True,
        "sleepy": False,
        "asleep": False,
        "time.sleep.later": False,
        "sleep().then": False,
    }.items():
        assert bool(sleep.pattern.search(call)) is expected, call


def test_every_kind_that_a_wait_can_have_is_in_the_catalogue() -> None:
    told = {row.kind for row in waits.FRAMES} | {row.kind for row in waits.CALLS}
    told |= set(waits.SYSCALLS.values())
    # The kernel's state names these, not the catalogue.
    assert set(WaitKind) - told == {
        WaitKind.ON_CPU,
        WaitKind.GIL,
        WaitKind.LOOP_POLL,
        WaitKind.UNKNOWN,
    }


def test_no_call_row_is_hidden_by_an_earlier_one() -> None:
    for n, row in enumerate(waits.CALLS):
        for word in re.findall(r"\w{3,}", row.pattern.pattern):
            for call in row.syscalls or {""}:
                first = next(
                    (
                        k
                        for k, one in enumerate(waits.CALLS)
                        if one.pattern.search(word) and (not one.syscalls or call in one.syscalls)
                    ),
                    n,
                )
                if first == n:
                    break
            else:
                continue
            break
        else:
            pytest.fail(f"nothing reaches {row.pattern.pattern}")
