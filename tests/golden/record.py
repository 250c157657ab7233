"""Makes the golden recordings, and accepts what the stages now make of them.

    python -m tests.golden.record NAME…      records those targets anew (needs ptrace rights)
    python -m tests.golden.record --accept   writes the expected reports of all recordings again

Read the difference that ``git diff`` shows before committing either.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from waitspy.judge import analysis
from waitspy.recording import loading
from waitspy.render.reports.json_report import JsonRenderer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGETS = HERE / "targets"
SECONDS = "3"
RATE_HZ = "50"


def names() -> list[str]:
    """The golden recordings that are there."""
    return sorted(path.parent.name for path in HERE.glob("*/meta.json"))


def folder(name: str) -> Path:
    return HERE / name


def expected(name: str) -> Path:
    """The report that the recording of that name must give."""
    return HERE / f"{name}.report.json"


def report(name: str) -> str:
    """The JSON report that the stages make of a golden recording now."""
    stream = StringIO()
    JsonRenderer().render(analysis.analyse(loading.load(str(folder(name)))), stream)
    return stream.getvalue()


def scrub(path: Path) -> None:
    """Replaces this machine's name and folders in every file, and keeps only our own sources."""
    found = (
        (os.path.realpath(sys.base_prefix), "/usr"),
        (sys.base_prefix, "/usr"),
        (str(ROOT), "/app"),
    )
    for file in (p for p in path.rglob("*") if p.is_file()):
        text = file.read_text("utf-8")
        for here, there in found:
            text = text.replace(here, there)
        if file.name == "meta.json":
            text = text.replace(f'"name": "{socket.gethostname()}"', '"name": "host"')
        if file.name == "sources.json":
            own = {name: lines for name, lines in json.loads(text).items() if "/app/" in name}
            text = json.dumps(own)
        file.write_text(text, "utf-8")


def record(name: str) -> None:
    """Records a target for a few seconds and puts the recording in its place.

    What follows a hyphen in its name is the sampler.
    """
    about, _, sampler = name.partition("-")
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, "rec")
        target = subprocess.Popen(
            [sys.executable, str(TARGETS / f"{about}.py")], stdout=subprocess.PIPE, text=True
        )
        try:
            assert target.stdout is not None
            pid = target.stdout.readline().strip()
            argv = ["record", pid, "-d", SECONDS, "-r", RATE_HZ, "-o", str(made)]
            argv += ["--sampler", sampler] if sampler else []
            subprocess.run([sys.executable, "-m", "waitspy", *argv], cwd=ROOT, check=True)
        finally:
            target.kill()
            target.wait()
        scrub(made)
        shutil.rmtree(folder(name), ignore_errors=True)
        shutil.move(made, folder(name))


def main() -> None:
    arguments = sys.argv[1:]
    for name in (a for a in arguments if a != "--accept"):
        record(name)
    for name in names():
        expected(name).write_text(report(name), "utf-8")


if __name__ == "__main__":
    main()
