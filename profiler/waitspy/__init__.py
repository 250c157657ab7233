"""waitspy: names the blocking waits that starve a running Python server, from outside."""

from __future__ import annotations

__version__ = "0.1.0"
