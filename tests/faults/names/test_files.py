"""A file of the program has a name with escape sequences, markup, line breaks, or of 100 kB.

The line in it is blamed as any other one, and its name is text in every format. Where the sampler
cannot read such a name, the function that called it is blamed, and nothing else is lost.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.names.naming import HOSTILE, recorded, variants

FILES = {name: f"/srv/{value}.py" for name, value in HOSTILE.items()} | {
    "slashes": "/" * 100_000 + "x.py",
    "folders": "../" * 30_000 + "x.py",
}
READ = {
    name for key, name in FILES.items() if key in {"escapes", "markup", "lines", "hidden", "table"}
}


@pytest.mark.parametrize("name", variants(FILES, "markup", "slashes"))
def test_its_line_is_blamed(tmp_path: Path, name: str) -> None:
    report = recorded(tmp_path, name)
    blames = [f["blame"] for f in report["findings"] if f["blame"]]
    if name in READ:  # of the others the sampler cannot read the frame: who calls it is blamed
        assert ("work", 2) in {(blame["function"], blame["line"]) for blame in blames}
