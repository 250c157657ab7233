"""Redis and PostgreSQL from the system's packages, on free loopback ports, with fresh data.

Their data lies in a folder that is deleted at the end; nothing else on the machine is touched.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from waitspy_scenarios.serving.needs import find_command
from waitspy_scenarios.serving.processes import ServerFailedError, finish, free_port
from waitspy_scenarios.serving.stage import Stage

REDIS = {"redis-server": "redis-server"}
"""What ``Needs`` calls it: the command, and its Debian package."""

POSTGRES = {"postgres": "postgresql"}

_POSTGRES_USER = "postgres"


async def start_redis(stage: Stage) -> int:
    """The port of a Redis that keeps nothing on disk."""
    port = free_port()
    await stage.start(
        "redis",
        *(_command("redis-server"), "--port", str(port), "--bind", "127.0.0.1"),
        *("--save", "", "--appendonly", "no", "--dir", str(stage.folder())),
        ready="Ready to accept connections",
    )
    return port


async def start_postgres(stage: Stage) -> int:
    """The port of a PostgreSQL with the role and database ``postgres``, without password.

    It refuses to run as root; then it runs as the user of Debian's package.

    Raises:
        ServerFailedError: its data folder cannot be made.
    """
    folder = stage.folder()
    data = folder / "data"
    binary = Path(_command("postgres"))
    user = _without_root(folder)
    await finish(
        "initdb",
        *(*user, str(binary.parent / "initdb"), "--pgdata", str(data), "--no-sync"),
        *("--auth=trust", f"--username={_POSTGRES_USER}", "--encoding=UTF8", "--locale=C"),
    )
    port = free_port()
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "shared_buffers": "16MB",
    }
    await stage.start(
        "postgres",
        *(*user, str(binary), "-D", str(data)),
        *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        ready="ready to accept connections",
    )
    return port


def _command(name: str) -> str:
    found = find_command(name)
    if found is None:  # the scenario has not said that it needs it
        raise ServerFailedError(f"{name} is missing")
    return found


def _without_root(folder: Path) -> list[str]:
    """What to write before a command that refuses root; makes the folder that user's own."""
    if os.getuid() != 0:
        return []
    try:
        user = pwd.getpwnam(_POSTGRES_USER)
    except KeyError:
        hint = "it comes with Debian's package postgresql"
        raise ServerFailedError(f"there is no user {_POSTGRES_USER}; {hint}") from None
    os.chown(folder, user.pw_uid, user.pw_gid)
    ids = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    # A change of user forgets what is to happen when the parent dies.
    return ["setpriv", *ids, "--pdeathsig=TERM"]
