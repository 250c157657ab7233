"""A waitspy whose py-spy is a shell script, which may start the real one (``PYSPY``)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.session import environment, finished, session
from waitspy.model.recorded import Recording

PYSPY = shutil.which("py-spy", path=os.path.dirname(sys.executable)) or "py-spy"

ENDS_WITHIN_S = 15
"""How long a recording of a second may take whatever py-spy does: a disk and a CPU may be slow."""

STARVING = """
import asyncio, time

def block():
    time.sleep(0.4)
    loop.call_later(0.05, block)

def tick():
    loop.call_later(0.02, tick)

loop = asyncio.new_event_loop()
loop.call_soon(tick)
loop.call_soon(block)
loop.call_soon(lambda: print("ready", flush=True))
loop.run_forever()
"""
"""A loop that is blocked again and again while its timers are due."""

_OUTPUT = """#!/bin/sh
case "$1" in record) ;; *) exec {pyspy} "$@" ;; esac
for arg; do test "$last" = --output && output=$arg; last=$arg; done
pyspy={pyspy}
wrote() {{ echo 'Wrote chrome trace. Samples: 30 Errors: 0' >&2; exit 0; }}
"""


def script(line: str) -> str:
    """A py-spy that does this instead of a record; ``$output`` is where it is to write."""
    return _OUTPUT.format(pyspy=PYSPY) + line + "\n"


def at_its_end(line: str) -> str:
    """A py-spy that gets ready as the real one does, and does this when it is asked to end."""
    return script(f"ends() {{\n{line}\n}}\ntrap ends INT\nwhile :; do sleep 0.05; done")


def other_python(folder: Path, pyspy: str | None) -> tuple[list[str], dict[str, str]]:
    """A Python that finds this py-spy (a script) beside it, or none; and its environment."""
    tools = folder / "bin"
    tools.mkdir()
    (tools / "python").symlink_to(os.path.realpath(sys.executable))
    if pyspy is not None:
        (tools / "py-spy").write_text(pyspy)
        (tools / "py-spy").chmod(0o755)
    packages = Path(pytest.__file__).parents[1]
    home = os.path.dirname(os.path.dirname(os.path.realpath(sys.executable)))
    env = environment(PATH="/usr/bin:/bin", PYTHONHOME=home)
    env["PYTHONPATH"] += f":{packages}"
    return [str(tools / "python"), "-m", "waitspy"], env


@contextmanager
def session_with(folder: Path, pyspy: str | None, *args: object) -> Iterator[subprocess.Popen[str]]:
    """A started waitspy that has this py-spy."""
    argv, env = other_python(folder, pyspy)
    with session(folder, *args, waitspy=argv, env=env) as process:
        yield process


def run_with(folder: Path, pyspy: str | None, *args: object) -> tuple[int, str, str]:
    """Runs a waitspy that has this py-spy to its end: exit code and what was said."""
    with session_with(folder, pyspy, *args) as process:
        return finished(process)


def looked_beside(recording: Recording) -> None:
    """What needs no py-spy is there, of every worker."""
    for worker in recording.workers:
        assert worker.states
        assert set(worker.oracles.values()) & {"ok"}


def event(name: str, phase: str, at_us: int, **args: object) -> str:
    """One event of a trace, as py-spy writes it."""
    row = {"args": args, "cat": "py-spy", "name": name, "ph": phase, "pid": 1, "tid": 1}
    return json.dumps({**row, "ts": at_us})


def tells(*events: str) -> str:
    """A py-spy that writes these events at its end."""
    return at_its_end("cat > $output <<'END'\n[" + ",\n".join(events) + "]\nEND\nwrote")
