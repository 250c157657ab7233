"""The program's border: its commands as one group, its errors as messages, and exit codes.

Exit codes: 0 done; 1 failed (what, and what to do); 2 usage; 3 --fail-on met; 130 interrupted
before anything was kept; with ``record -- COMMAND`` the command's own code when that is not 0.
"""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

import click

from waitspy import __version__
from waitspy.commands import arguments
from waitspy.commands.output import prepare_streams, silence_stdout
from waitspy.commands.registry import COMMANDS, command
from waitspy.errors import WaitspyError
from waitspy.render import escape

_INTERRUPTED = 130
_DISK_FAILS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


class _Failure(click.ClickException):
    """One line of what, then what to do: one line, and one more for each thing it lists."""

    def __init__(self, error: WaitspyError) -> None:
        super().__init__(str(error))
        self._hint = error.hint

    def show(self, file: IO[str] | None = None) -> None:
        click.echo(f"waitspy: {escape.terminal(self.message)}", err=True, file=file)
        for n, line in enumerate(self._hint.split("\n")):
            click.echo(f"{'    ' if n else '  try: '}{escape.terminal(line)}", err=True, file=file)


def load(line: Sequence[str]) -> None:
    """Imports what that command line needs: one command, or all for their help."""
    for name in COMMANDS.keys() & line[:1] or COMMANDS:
        command(name)


class _Group(click.Group):
    """Turns the tool's own errors and interrupts into exit codes, at one place."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        return command(cmd_name) if cmd_name in COMMANDS else None

    def main(self, *args: Any, **more: Any) -> Any:
        prepare_streams()
        if callable(signal.getsignal(signal.SIGINT)):  # whatever held until everything was imported
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return super().main(*args, **more)
        except OSError as error:
            if error.errno not in _DISK_FAILS or error.filename is not None:
                raise
            silence_stdout()
            with suppress(OSError):
                click.echo(f"waitspy: cannot write to standard output: {error.strerror}", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except WaitspyError as error:
            raise _Failure(error) from None
        except KeyboardInterrupt:
            click.echo("waitspy: interrupted", err=True)
            ctx.exit(_INTERRUPTED)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=arguments.examples("workers :8000", "record :8000 -d 10"),
)
@click.version_option(__version__, prog_name="waitspy")
def main() -> None:
    """Names the blocking waits that starve a running Python server, from outside."""
