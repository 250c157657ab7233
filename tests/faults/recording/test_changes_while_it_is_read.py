"""A recording is written, cut and removed while reports are made of it.

Each report is of what was there, or one clear error; none fails in another way or waits.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.faults.reading import commands, few, is_well_formed, read
from tests.faults.recording.changing import files
from tests.live.running import TARGETS, wait_until
from tests.live.session import finished, meta, said_well, session
from tests.live.started import started


@contextlib.contextmanager
def damaged_again_and_again(rec: Path, whole: Path) -> Iterator[None]:
    """Another process cuts, removes and restores files of it, one after the other."""
    script = (
        "import os, shutil, sys, itertools\n"
        "rec, whole, *names = sys.argv[1:]\n"
        "print('ready', flush=True)\n"
        "for n in itertools.count():\n"
        "    one = os.path.join(rec, names[n % len(names)])\n"
        "    good = os.path.join(whole, names[n % len(names)])\n"
        "    os.truncate(one, os.path.getsize(one) // 2)\n"
        "    os.unlink(one)\n"
        "    shutil.copyfile(good, one)\n"
    )
    names = [str(path.relative_to(rec)) for path in files(rec)]
    with started([sys.executable, "-c", script, str(rec), str(whole), *names]) as (process, _):
        yield
        assert process.poll() is None, "it has not gone on to the end"


def test_files_that_come_and_go(rec: Path, recorded: Path) -> None:
    codes = set()
    with damaged_again_and_again(rec, recorded):
        for args in [*commands(rec), *few(rec), *few(rec)]:
            one = read(*args)
            codes.add(one.code)
            if one.code:
                assert (one.code, one.out) == (1, b"")
                said_well(one.err, str(rec))
            else:
                is_well_formed(one)
    assert 0 in codes


def test_a_folder_that_is_removed(rec: Path) -> None:
    over = threading.Event()

    def remove() -> None:
        over.wait(30)
        shutil.rmtree(rec)

    remover = threading.Thread(target=remove)
    remover.start()
    seen = [read("report", str(rec), "-f", "json")]
    over.set()
    while seen[-1].code == 0:
        seen.append(read("report", str(rec), "-f", "json"))
    remover.join()
    said_well(seen[-1].err, str(rec))
    for one in seen[:-1]:
        is_well_formed(one)
    assert not os.path.exists(rec)


def test_a_recording_that_is_still_made(tmp_path: Path) -> None:
    """It loads as one that was cut short, and says so; the recording goes on."""
    target = [sys.executable, str(TARGETS / "stalled_server.py")]
    with (
        started(target) as (process, _),
        session(tmp_path, "record", process.pid, "-d", "50", "-o", "rec") as waitspy,
    ):
        wait_until(lambda: meta(tmp_path / "rec").get("flushed_ns"), "nothing was written")
        for args in commands(tmp_path / "rec"):
            one = read(*args)
            assert one.code == 0, one.err
            is_well_formed(one)
        text = " ".join(read("report", str(tmp_path / "rec")).text.split())
        assert "everything after" in text
        waitspy.send_signal(signal.SIGINT)
        code, _, err = finished(waitspy)
    assert (code, err) == (0, "")
