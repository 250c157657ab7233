"""waitspy's command line, run in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from waitspy.cli import main


def waitspy(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])
