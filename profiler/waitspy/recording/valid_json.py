"""JSON whose texts are valid Unicode, although what a target says may be anything."""

from __future__ import annotations

import json
from typing import Any


def read_json(text: str) -> Any:
    """The value of a JSON text, in which all text is valid Unicode (escapes can spell others).

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    value = json.loads(text)
    return valid(value) if "\\ud" in text or "\\uD" in text else value


def valid(value: Any) -> Any:
    """The same JSON value without lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list | tuple):
        return [valid(item) for item in value]
    if isinstance(value, dict):
        return {valid(key): valid(item) for key, item in value.items()}
    return value
