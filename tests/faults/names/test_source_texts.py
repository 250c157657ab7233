"""A source file holds form feeds, line separators, tabs, NULs, other encodings, or lines of a megabyte.

Lines are counted as Python counts them: the blamed line is shown, as text, and no more of it than
fits; the recording stays small.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.names.naming import named, variants
from tests.faults.reading import few, reported
from tests.live.session import run

DEFINED = b"def work(time):\n"
SLEEPS = b"    time.sleep(0.25)"
SOURCES = {
    "form feed": DEFINED + SLEEPS + b"  # \x0c a\x0bb\x1cc\n",
    "separators": DEFINED + SLEEPS + "  # a\u2028b\u2029c\x85d\n".encode(),
    "tabs": b"def work(time):\n\ttime.sleep(0.25)\t#\tx\n",
    "escapes": DEFINED + SLEEPS + b"  # \x1b]0;owned\x07\x1b[2J\n",
    "markup": DEFINED + SLEEPS + b"  # </script><script>alert(1)</script>\n",
    "hidden": DEFINED + SLEEPS + "  # \u202e\u2066\u200b\n".encode(),
    "NUL": DEFINED + SLEEPS + b"  # a\0b\n",
    "latin-1": DEFINED + SLEEPS + b"  # caf\xe9\n",
    "carriage returns": b"def work(time):\r" + SLEEPS + b"\r",
    "a long line": DEFINED + SLEEPS + b"  # " + b"x" * 1_000_000 + b"\n",
}


@pytest.mark.parametrize("source", variants(SOURCES, "form feed", "escapes", "a long line"))
def test_the_blamed_line_is_shown_as_text(tmp_path: Path, source: bytes) -> None:
    for above in (tmp_path, *tmp_path.parents[:3]):
        above.chmod(above.stat().st_mode | 0o011)
    file = tmp_path / "blocking_source.py"
    file.write_bytes(source)
    with named(str(file)) as process:
        code, out, err = run(tmp_path, "record", process.pid, "-d", "0.8", "-o", "rec")
    assert (code, err) == (0, "")
    assert "time.sleep(0.25)" in out
    report = reported(tmp_path / "rec", few)
    (line,) = {f["blame"]["source"] for f in report["findings"] if f["blame"]}
    assert "time.sleep(0.25)" in line
    kept = json.loads((tmp_path / "rec" / "sources.json").read_text("utf-8"))[str(file)]
    assert max(map(len, kept.values())) <= 500
