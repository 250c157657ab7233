"""What protobuf's own library makes of bytes: strict, so that a wrong field number is noticed."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet


def unknown(message: Message) -> list[str]:
    """Where a message, or one within it, has fields that its schema does not have."""
    name = message.DESCRIPTOR.name
    strange = UnknownFieldSet(message)
    found = [f"{name}.{strange[n].field_number}" for n in range(len(strange))]
    for _, value in message.ListFields():
        many = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        for inner in value if many else [value]:
            if isinstance(inner, Message):
                found += unknown(inner)
    return found
