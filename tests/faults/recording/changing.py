"""Changes files of a recording, as their formats have it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def meta_file(rec: Path) -> Path:
    return rec / "meta.json"


def stream(rec: Path, oracle: str) -> Path:
    """What an oracle told of the only worker."""
    (file,) = (rec / "oracles" / oracle).iterdir()
    return file


def stacks_file(rec: Path) -> Path:
    """The first segment of its stacks."""
    return min((rec / "stacks").iterdir())


def files(rec: Path) -> list[Path]:
    """Every file of it, meta.json first."""
    rest = (path for path in rec.rglob("*") if path.is_file() and path.name != "meta.json")
    return [meta_file(rec), *sorted(rest)]


def change_meta(rec: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Writes meta.json as ``change`` leaves it."""
    meta = json.loads(meta_file(rec).read_text("utf-8"))
    change(meta)
    meta_file(rec).write_text(json.dumps(meta), "utf-8")


def change_rows(file: Path, change: Callable[[list[Any]], Any]) -> int:
    """Writes each row of a stream as ``change`` leaves it; how many there are."""
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    rows = [line for line in lines if isinstance(line, list)]
    for row in rows:
        change(row)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return len(rows)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container inside of a JSON value, with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


def only_one_segment(rec: Path) -> None:
    """Its sampler may have been replaced once: then the rest is forgotten, as are single stacks."""
    for dumps in (rec / "stacks").glob("*.dumps.jsonl"):
        dumps.unlink()
    change_meta(rec, lambda meta: meta.update(segments=meta["segments"][:1]))
