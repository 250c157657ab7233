"""Deep inside of a recording stands something of another kind: a list for a name, a text for a time.

Each ends in one clear error or in a report that says what was lost; never in a failure of waitspy.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.reading import LONGEST_MESSAGE, is_well_formed, read
from tests.faults.recording.changing import meta_file, places, stream
from tests.live.session import said_well

WRONG: list[Any] = [None, [], {}, "x", True, 1.5, [[None]], {"a": []}, "9" * 5000]
_PLACES = 12


def outcome_is_clear(rec: Path) -> int:
    codes = set()
    for args in (("report", str(rec), "-f", "json"), ("flamegraph", str(rec), "-f", "svg")):
        one = read(*args)
        codes.add(one.code)
        if one.code:
            assert one.out == b""
            said_well(one.err)
            assert len(one.err) < LONGEST_MESSAGE
        else:
            is_well_formed(one)
    (code,) = codes
    return code


@pytest.mark.parametrize("wrong", WRONG, ids=[repr(value)[:12] for value in WRONG])
def test_in_what_tells_of_the_whole(rec: Path, wrong: Any) -> None:
    text = meta_file(rec).read_text("utf-8")
    chance = random.Random(repr(wrong))
    codes = []
    for n in chance.sample(range(len(places(json.loads(text)))), _PLACES):
        meta = json.loads(text)
        inner, key = places(meta)[n]
        inner[key] = wrong
        meta_file(rec).write_text(json.dumps(meta), "utf-8")
        codes.append(outcome_is_clear(rec))
    assert set(codes) <= {0, 1}
    assert 1 in codes  # most of it is needed


@pytest.mark.parametrize(
    "oracle", ["threads", "epoll", "asyncio", "pools", "backlog", "requests", "places"]
)
def test_in_a_row_it_costs_that_row(rec: Path, oracle: str) -> None:
    file = stream(rec, oracle)
    lines = file.read_text("utf-8").splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("["))
    row = json.loads(lines[at])
    damaged = 0
    for inner, key in places(row):
        kept = inner[key]
        inner[key] = {"a": [{}]}
        file.write_text("\n".join([*lines[:at], json.dumps(row), *lines[at + 1 :], ""]), "utf-8")
        one = read("report", str(rec), "-f", "json")
        assert one.code == 0, one.err
        told = {(x["what"], x["why"]) for x in json.loads(one.out)["losses"]}
        label = "kernel states" if oracle == "threads" else f"{oracle} rows"
        damaged += (f"1 of the {label}", "they cannot be read") in told
        inner[key] = kept
    assert damaged == len(places(row))
