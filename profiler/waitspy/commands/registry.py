"""Every command, in the order of its use. A new one touches its file and one line here.

A command is imported when it is asked for: what looks into processes takes half a second that no
report needs.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

COMMANDS: Mapping[str, str] = {
    "doctor": "look",
    "workers": "look",
    "record": "record",
    "report": "reports",
    "flamegraph": "reports",
    "view": "reports",
    "scenario": "scenario",
}
"""The names of commands, each with the file of this folder that it is in."""


def command(name: str) -> click.Command:
    """The command of that name.

    Raises:
        KeyError: there is none.
    """
    file = importlib.import_module(f"waitspy.commands.{COMMANDS[name]}")
    found = getattr(file, name)
    assert isinstance(found, click.Command)
    return found
