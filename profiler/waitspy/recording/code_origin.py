"""What a worker's interpreter says of where its code is: the key ``code`` of its row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from waitspy.model.code_origin import Program
from waitspy.recording.valid_json import valid

KEY = "code"


def row(program: Program) -> dict[str, Any]:
    """The program as it is written."""
    values = valid(msgspec.to_builtins(program))
    assert isinstance(values, dict)
    return {name: value for name, value in values.items() if value is not None}


def programs(workers: Iterable[Mapping[str, Any]]) -> Iterator[Program]:
    """Those of all workers whose interpreter was asked.

    Raises:
        ValueError: one of them is damaged.
    """
    for worker in workers:
        if KEY in worker:
            yield msgspec.convert(worker[KEY], Program)
