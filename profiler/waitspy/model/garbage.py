"""The collector of garbage, switched off while recordings are loaded and judged.

Millions of rows and values make no garbage, but to look for it again and again takes a tenth of the
time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def not_collected() -> Iterator[None]:
    """Nothing is collected inside; afterwards it is as it was before."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
