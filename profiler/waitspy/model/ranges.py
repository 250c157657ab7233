"""Whole numbers in recordings, each with the range that it has to be in."""

from __future__ import annotations

from typing import Annotated

import msgspec

Ns = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A time or a length of time, in nanoseconds."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""How many."""

Few = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
"""How many of what there are never very many of; or none."""

Many = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
"""The same, at least one."""

Tid = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
"""The id that the system gives to a thread."""

Address = Annotated[int, msgspec.Meta(ge=0)]
"""A place in the target's memory, or anything else of 64 bits without a sign."""
