"""The name of the recording's format is 100 kB long, or holds escape sequences, NULs or nothing.

One clear error of two short lines, in which no character moves the cursor or hides another one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.reading import few, refused
from tests.faults.recording.changing import change_meta

FOREIGN = "is not a recording"
OTHER = "was written with waitspy.recording/"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("waitspy.recording/" + "9" * 100_000, OTHER),
        ("waitspy.recording/\x1b]0;owned\x07\x1b[2J", OTHER + "\\x1b]0;owned"),
        ("waitspy.recording/2\0", OTHER + "2\\x00"),
        ("waitspy.recording/\u202e\u2028\r\n3", OTHER + "\\u202e\\u2028\\r\\n3"),
        ("waitspy.recording/\ud800", OTHER),
        ("x" * 100_000, FOREIGN),
        ("", FOREIGN),
        (None, FOREIGN),
        (["waitspy.recording/2"], FOREIGN),
    ],
    ids=["long", "escapes", "nul", "bidi", "surrogate", "foreign", "empty", "null", "list"],
)
def test_it_is_refused_in_two_short_lines(rec: Path, schema: Any, said: str) -> None:
    change_meta(rec, lambda meta: meta.update(schema=schema))
    refused(rec, str(rec), said, by=few)
