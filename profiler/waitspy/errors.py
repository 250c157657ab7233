"""The errors a user can meet: one line of what happened, and what to do (``hint``).

A hint is one line; where it lists what there is to choose from, one more for each thing.
"""

from __future__ import annotations


class WaitspyError(Exception):
    """Base of all: ``str(error)`` says what, ``hint`` says what to do."""

    hint: str

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


class TargetError(WaitspyError):
    """The target cannot be found, is ambiguous, or is no server that can be profiled."""


class PermissionMissing(WaitspyError):  # noqa: N818
    """This user may not look into the target; the hint names the capability and how to grant it."""


class SamplerError(WaitspyError):
    """py-spy is missing or does not start."""


class AssetsMissing(WaitspyError):  # noqa: N818
    """A page is wanted, but this installation was built without the scripts of pages."""


class RecordingError(WaitspyError):
    """A recording cannot be written or read."""
