"""Every command, in the order of its use. A new one touches its file and one line here."""

from __future__ import annotations

from collections.abc import Sequence

import click

from waitspy.commands.look import doctor, workers
from waitspy.commands.record import record
from waitspy.commands.reports import flamegraph, report, view
from waitspy.commands.scenario import scenario

COMMANDS: Sequence[click.Command] = (
    doctor,
    workers,
    record,
    report,
    flamegraph,
    view,
    scenario,
)
