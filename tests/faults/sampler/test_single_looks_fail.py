"""The single looks that py-spy takes while a thread waits for the GIL fail, hang, or do not stop writing.

Sampling goes on, the stalls are found all the same, and how many looks failed is told with the cause.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.faults.sampler.fakes import PYSPY, run_with
from tests.live.session import BY_PYSPY, load
from tests.live.started import started

KEPT = """
import asyncio, sys, threading, time
sys.set_int_max_str_digits(0)
huge = 7 ** 210000

def keep():
    time.sleep(0.001)
    str(huge)

def wait():
    threading.Thread(target=keep).start()
    time.sleep(0.01)
    loop.call_later(0.2, wait)

def tick():
    loop.call_later(0.02, tick)

loop = asyncio.new_event_loop()
loop.call_soon(tick)
loop.call_soon(wait)
loop.call_soon(lambda: print("ready", flush=True))
loop.run_forever()
"""
"""Another thread keeps the GIL for some tenths of a second, again and again, while timers are due."""


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("echo '{]'", "py-spy ended with code 0: {]"),
        ("kill -SEGV $$", "py-spy was killed by SIGSEGV"),
        ("exec yes", "py-spy wrote messages without end"),
        pytest.param(
            "trap '' INT; while :; do sleep 0.2; done",
            "py-spy did not answer within 5 s",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["garbage", "dies", "does not stop", "hangs"],
)
def test_looks_that_fail(tmp_path: Path, does: str, why: str) -> None:
    pyspy = f'#!/bin/sh\ncase "$1" in dump) {does};; *) exec {PYSPY} "$@";; esac\n'
    with started([sys.executable, "-c", KEPT]) as (process, _):
        args = (*BY_PYSPY, process.pid, "-d", "2", "-r", "10", "-o", "rec")
        code, out, err = run_with(tmp_path, pyspy, *args)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert loss.what.endswith(" single looks at the stacks")
    assert int(loss.what.split()[0]) >= 1
    assert (loss.why, loss.remedy) == (why, "sampling went on")
    assert "GIL" in out
    assert recording.workers[0].segments
