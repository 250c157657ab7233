"""What a scenario needs that may not be installed, and the one line that says so."""

from __future__ import annotations

import glob
import importlib.util
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

_SBIN = ("/usr/sbin", "/usr/local/sbin")  # servers live there, and not every user's PATH has it
_POSTGRES = "/usr/lib/postgresql/*/bin"  # Debian keeps several versions side by side


@dataclass(frozen=True, slots=True)
class Needs:
    """Importable modules of the extra ``scenarios``, and commands by their Debian package."""

    modules: tuple[str, ...] = ()
    commands: Mapping[str, str] = field(default_factory=dict)

    def missing(self) -> str | None:
        """What is missing and how to install it, in one line; None when all is there."""
        modules = [name for name in self.modules if importlib.util.find_spec(name) is None]
        commands = [name for name in self.commands if find_command(name) is None]
        how = []
        if modules:
            how.append("pip install 'waitspy[scenarios]'")
        if commands:
            packages = dict.fromkeys(self.commands[name] for name in commands)
            how.append("apt-get install " + " ".join(packages))
        if not how:
            return None
        return f"{', '.join(modules + commands)} missing; to install: {' && '.join(how)}"


def find_command(name: str) -> str | None:
    """The path of a command, also of one that only root's PATH has, or no PATH."""
    path = (os.environ.get("PATH", os.defpath), *_SBIN, *sorted(glob.glob(_POSTGRES)))
    return shutil.which(name, path=os.pathsep.join(path))
