"""Finds the py-spy program."""

from __future__ import annotations

import os
import shutil
import sys

from waitspy.errors import SamplerError


def find_pyspy() -> str:
    """The absolute path of py-spy: the one installed beside this Python, else the PATH's.

    Raises SamplerError when there is none.
    """
    # sys.executable is not resolved: a virtual environment's own folder is the right one.
    beside = os.path.dirname(os.path.abspath(sys.executable)) if sys.executable else None
    for folder in (beside, None):
        found = shutil.which("py-spy", path=folder)
        if found:
            return os.path.abspath(found)
    raise SamplerError(
        "py-spy is neither installed beside this Python nor on the PATH",
        f"install it: {sys.executable or 'python3'} -m pip install py-spy",
    )
