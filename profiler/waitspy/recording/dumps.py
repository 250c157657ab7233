"""Single dumps: each line is a ``Dump`` as it is, the stacks of a process at one instant."""

from __future__ import annotations

from waitspy.model.threads import Dump
from waitspy.recording.rows import reader

READER = reader(Dump)
