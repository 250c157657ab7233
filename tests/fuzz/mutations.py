"""Damages a recording as accidents and attackers do; a seed gives the same damage every time."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NUMBERS = (
    0, -1, 1, 1 << 31, 1 << 53, 1 << 63, (1 << 63) - 1, -(1 << 63), 1 << 64, 1 << 200, 10**300 // 7,
    0.0, -0.0, 1e-320, 1e300, -1e300, float("nan"), float("inf"), float("-inf"), 0.1, True, False,
)  # fmt: skip
_TEXTS = (
    "", "\0", "x" * 100_000, "\ud800", "\u202e\x1b[2J", "../../../etc/passwd", "/dev/zero", "1e999",
    "<script>alert(1)</script>", "waitspy.recording/99", "%s%n", "{}", "[" * 2000, "\n\n\r", "名前",
)  # fmt: skip
_SHAPES: tuple[Any, ...] = (None, [], {}, [[]], {"": {}}, [None] * 50, {"a": [1, {"b": None}]})
_SPARSE = 3 << 30


def damage(recording: Path, seed: int) -> str:
    """Changes one to three things in the recording; says what."""
    chance = random.Random(seed)
    return "; ".join(_damage_once(recording, chance) for _ in range(chance.choice((1, 1, 2, 3))))


def _damage_once(recording: Path, chance: random.Random) -> str:
    files = sorted(p for p in recording.rglob("*") if p.is_file() and not p.is_symlink())
    if not files:
        return "nothing is left"
    # Most of what decides is in meta.json, but there are more of the others.
    meta = recording / "meta.json"
    file = meta if meta in files and chance.random() < 0.4 else chance.choice(files)
    how = chance.choice([*_OF_VALUES * 6, *_OF_FILES])
    said = how(file, chance)
    return f"{file.relative_to(recording)}: {how.__name__.strip('_')} {said}"[:300]


# --- values ----------------------------------------------------------------------------------------


def _value(chance: random.Random) -> Any:
    return chance.choice(
        (
            chance.choice(_NUMBERS),
            chance.choice(_TEXTS),
            chance.choice(_SHAPES),
            chance.random() * 1e12,
        )
    )


def _parsed(file: Path, chance: random.Random) -> tuple[Any, Callable[[Any], str]] | None:
    """A JSON value of the file, and how to write the file with another one in its place."""
    text = file.read_text("utf-8", "replace")
    try:
        if file.suffix != ".jsonl":
            return json.loads(text), json.dumps
        lines = text.splitlines()
        n = chance.randrange(len(lines))
        value = json.loads(lines[n])
    except (ValueError, RecursionError):
        return None

    def whole(changed: Any) -> str:
        return "\n".join([*lines[:n], json.dumps(changed), *lines[n + 1 :]]) + "\n"

    return value, whole


def _places(value: Any, chance: random.Random) -> tuple[Any, Any] | None:
    """A container somewhere in the value, and a key of it; deep ones are as likely as others."""
    inner = value
    found = None
    while isinstance(inner, dict | list) and inner:
        key = (
            chance.choice(list(inner)) if isinstance(inner, dict) else chance.randrange(len(inner))
        )
        found = inner, key
        if chance.random() < 0.25:
            break
        inner = inner[key]
    return found


def _replaced(file: Path, chance: random.Random) -> str:
    return _changed(file, chance, lambda inner, key: inner.__setitem__(key, _value(chance)))


def _dropped(file: Path, chance: random.Random) -> str:
    return _changed(file, chance, lambda inner, key: inner.__delitem__(key))


def _repeated(file: Path, chance: random.Random) -> str:
    def repeat(inner: Any, key: Any) -> None:
        if isinstance(inner, list):
            inner[key:key] = [inner[key]] * chance.choice((1, 3, 2000))
        else:
            inner[f"{key}{key}"] = inner[key]

    return _changed(file, chance, repeat)


def _scaled(file: Path, chance: random.Random) -> str:
    def scale(inner: Any, key: Any) -> None:
        if isinstance(inner[key], int | float):
            inner[key] = inner[key] * chance.choice((-1, 0, 2, 1000, 10**9)) + chance.choice(
                (0, 1, -1)
            )
        else:
            inner[key] = _value(chance)

    return _changed(file, chance, scale)


def _swapped(file: Path, chance: random.Random) -> str:
    def swap(inner: Any, key: Any) -> None:
        keys = list(inner) if isinstance(inner, dict) else range(len(inner))
        other = chance.choice(list(keys))
        inner[key], inner[other] = inner[other], inner[key]

    return _changed(file, chance, swap)


def _changed(file: Path, chance: random.Random, change: Callable[[Any, Any], None]) -> str:
    parsed = _parsed(file, chance)
    place = parsed and _places(parsed[0], chance)
    if not parsed or not place:
        return "nothing"
    inner, key = place
    before = repr(inner[key])[:60]
    change(inner, key)
    file.write_text(parsed[1](parsed[0]), "utf-8", "replace")
    kept = key in inner if isinstance(inner, dict) else key < len(inner)
    return f"{key!r}: {before} to {repr(inner[key])[:60] if kept else 'nothing'}"


# --- files -----------------------------------------------------------------------------------------


def _cut(file: Path, chance: random.Random) -> str:
    size = file.stat().st_size
    os.truncate(file, chance.randrange(size + 1))
    return f"of {size}"


def _flipped(file: Path, chance: random.Random) -> str:
    raw = bytearray(file.read_bytes())
    for _ in range(chance.choice((1, 5, 200))):
        if raw:
            raw[chance.randrange(len(raw))] = chance.randrange(256)
    file.write_bytes(raw)
    return ""


def _mixed(file: Path, chance: random.Random) -> str:
    lines = file.read_bytes().split(b"\n")
    chance.shuffle(lines)
    file.write_bytes(b"\n".join(lines))
    return ""


def _removed(file: Path, _: random.Random) -> str:
    file.unlink()
    return ""


def _made_a_fifo(file: Path, _: random.Random) -> str:
    file.unlink()
    os.mkfifo(file)
    return ""


def _made_a_folder(file: Path, _: random.Random) -> str:
    file.unlink()
    file.mkdir()
    return ""


def _made_a_link(file: Path, chance: random.Random) -> str:
    to = chance.choice(("/dev/zero", "/etc/passwd", "/proc/self/mem", str(file.parent), "nowhere"))
    file.unlink()
    file.symlink_to(to)
    return to


def _made_sparse(file: Path, _: random.Random) -> str:
    os.truncate(file, _SPARSE)
    return ""


def _filled(file: Path, chance: random.Random) -> str:
    file.write_bytes(
        chance.choice((b"[" * 5_000_000, b"\n" * 5_000_000, b'"' * 1_000_001, b"\xff"))
    )
    return ""


def _copied_over(file: Path, chance: random.Random) -> str:
    others = sorted(p for p in file.parents[0].rglob("*") if p.is_file() and p != file)
    if not others:
        return "nothing"
    other = chance.choice(others)
    shutil.copy(other, file)
    return other.name


_OF_VALUES = (_replaced, _replaced, _scaled, _dropped, _repeated, _swapped)
_OF_FILES = (
    _cut, _flipped, _mixed, _removed, _made_a_fifo, _made_a_folder, _made_a_link, _made_sparse,
    _filled, _copied_over,
)  # fmt: skip
