"""Tells from command lines and kinship which part each process plays in a server.

Pure: takes what /proc says of the processes of one tree, gives role and framework of each.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from waitspy.model.multiprocessing_commands import FORKSERVER, SPAWNED, TRACKER
from waitspy.model.processes import Role

_FRAMEWORKS = {
    "celery": "celery",
    "daphne": "daphne",
    "dask": "dask",
    "dask-scheduler": "dask",
    "dask-worker": "dask",
    "datasette": "datasette",
    "default_worker": "ray",  # what Ray starts its workers with
    "distributed": "dask",  # dask's processes
    "django": "django",
    "django-admin": "django",
    "dramatiq": "dramatiq",
    "fastapi": "uvicorn",  # its command line runs uvicorn
    "flask": "flask",
    "gradio": "gradio",
    "granian": "granian",
    "gunicorn": "gunicorn",
    "hass": "home assistant",
    "homeassistant": "home assistant",
    "hypercorn": "hypercorn",
    "ipykernel": "jupyter",
    "ipykernel_launcher": "jupyter",
    "jupyter": "jupyter",
    "jupyter-lab": "jupyter",
    "jupyter-notebook": "jupyter",
    "jupyter-server": "jupyter",
    "jupyter_server": "jupyter",
    "jupyterhub": "jupyter",
    "jupyterlab": "jupyter",
    "manage": "django",
    "mitmdump": "mitmproxy",
    "mitmproxy": "mitmproxy",
    "mitmweb": "mitmproxy",
    "notebook": "jupyter",
    "ray": "ray",
    "sanic": "sanic",
    "scrapy": "scrapy",
    "streamlit": "streamlit",
    "synapse": "synapse",
    "synapse_homeserver": "synapse",
    "synapse_worker": "synapse",
    "twist": "twisted",
    "twistd": "twisted",
    "twisted": "twisted",
    "uvicorn": "uvicorn",
    "uwsgi": "uwsgi",
    "waitress": "waitress",
    "waitress-serve": "waitress",
}
"""Framework by the name of the script or module that was started."""

_TITLES: tuple[tuple[re.Pattern[str], str, Role | None], ...] = (
    (re.compile(r"gunicorn: dirty-arbiter"), "gunicorn", "helper"),
    (re.compile(r"gunicorn: "), "gunicorn", None),
    (re.compile(r"\[celery(?:d: .*:)? ?beat", re.IGNORECASE), "celery", "helper"),
    (re.compile(r"\[celeryd?: "), "celery", None),
    (re.compile(r"uWSGI (?:http|router|spooler|mule)"), "uwsgi", "helper"),
    (re.compile(r"uWSGI "), "uwsgi", None),
    (re.compile(r"granian "), "granian", None),
    (re.compile(r"ray::"), "ray", None),
)
"""Titles that servers give to their processes, and the role if the title alone decides it."""

_RUNNER = re.compile(r"waitspy_scenarios\.\w+")
"""Modules that start and load a scenario's server; what serves has a module of its own below."""

_WITH_VALUE = "WX"
"""Short options of the interpreter that take a value, besides -c and -m, which end them."""

PLAIN, MULTIPROCESSING, NODE = "python", "multiprocessing", "node"


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a tree, as far as its part depends on it.

    ``image`` is that of procfs.Stat: equal for a process and its forks. ``runtime`` is what
    plain programs of its runtime are called (PLAIN, NODE), None where it has none that is known.
    """

    pid: int
    ppid: int
    argv: tuple[str, ...]
    runtime: str | None
    image: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """The part that a process plays; ``framework`` is None for what has no known runtime."""

    role: Role
    framework: str | None


def started(argv: tuple[str, ...]) -> str | None:
    """The script (base name without .py) or module (first part) that an interpreter was told to
    run; None for ``-c``, standard input or an interactive session.
    """
    arguments = iter(argv[1:])
    for argument in arguments:
        if not argument.startswith("-") or argument == "-":
            name = argument.rstrip("/").rpartition("/")[2].removesuffix(".py")
            return name if name not in {"", "-"} else None
        if argument.startswith("--"):
            if argument == "--check-hash-based-pycs":
                next(arguments, None)
            continue
        for at, letter in enumerate(argument[1:], 2):
            value = argument[at:]
            if letter == "m":
                module = value or next(arguments, "")
                return module.partition(".")[0] or None
            if letter == "c":
                return None
            if letter in _WITH_VALUE:
                if not value:
                    next(arguments, None)
                break
    return None


def framework(argv: tuple[str, ...]) -> str | None:
    """The server framework that the command line or the title names; None when it names none."""
    if not argv:
        return None
    for title, name, _role in _TITLES:
        if title.match(argv[0]):
            return name
    for program in (argv[0].rpartition("/")[2], started(argv)):
        if program in _FRAMEWORKS:
            return _FRAMEWORKS[program]
    return None


def assign(members: Iterable[Member]) -> Mapping[int, Part]:
    """The part of every member, by pid.

    A *helper* serves no request: what has no runtime, multiprocessing's trackers and fork
    servers, the helpers of gunicorn, celery and uWSGI, what runs a scenario. A *master* has
    processes of its own program below it, helpers in between not counted. Everything else
    is a *worker*. What a server framework forks or spawns belongs to that framework; what plain
    Python forks or spawns is called multiprocessing.
    """
    tree = {member.pid: member for member in members}
    helpers = {pid for pid, member in tree.items() if _helps(member, tree)}
    parts: dict[int, Part] = {}
    masters: set[int] = set()
    for pid in _parents_first(tree):
        member = tree[pid]
        above = _above(member, tree, helpers)
        name = framework(member.argv) if member.runtime else None
        if above is not None and member.runtime and same_program(member, above):
            inherited = parts[above.pid].framework
            if inherited in {None, PLAIN, MULTIPROCESSING} and member.runtime == PLAIN:
                inherited = MULTIPROCESSING
            name = name or inherited
            if pid not in helpers:
                masters.add(above.pid)
        elif member.runtime and name is None:
            name = MULTIPROCESSING if _born(member) else member.runtime
        parts[pid] = Part("helper" if pid in helpers else "worker", name)
    return {
        pid: Part("master", part.framework) if pid in masters else part
        for pid, part in parts.items()
    }


def _helps(member: Member, tree: Mapping[int, Member]) -> bool:
    if not member.runtime or not member.argv:
        return True
    if any(role == "helper" and title.match(member.argv[0]) for title, _name, role in _TITLES):
        return True
    code = _code(member)
    if TRACKER.search(code) or _runs_scenario(member.argv):
        return True
    if not FORKSERVER.search(code):
        return False
    # The processes that a fork server forks keep its command line: they are no helpers.
    parent = tree.get(member.ppid)
    return parent is None or not FORKSERVER.search(_code(parent))


def _runs_scenario(argv: tuple[str, ...]) -> bool:
    """As in ``python -m waitspy_scenarios.gil_hog``; not where it has the workers as threads."""
    return "thread" not in argv and any(
        option == "-m" and _RUNNER.fullmatch(module) is not None
        for option, module in itertools.pairwise(argv)
    )


def _code(member: Member) -> str:
    """The arguments in which multiprocessing says what the process is."""
    return "\n".join(member.argv[1:])


def _born(member: Member) -> bool:
    """Whether multiprocessing started it, by its command line."""
    code = _code(member)
    return bool(SPAWNED.search(code) or FORKSERVER.search(code) or TRACKER.search(code))


def same_program(member: Member, above: Member) -> bool:
    """Whether a process is a fork of the one above, of multiprocessing, or the same server."""
    if member.runtime != above.runtime:
        return False
    if _born(member):
        return True
    if member.runtime == NODE and started(member.argv) == started(above.argv) is not None:
        return True  # a cluster's workers get ports of their own for the inspector
    if member.image is not None and member.image == above.image:
        return True
    name = framework(member.argv)
    return member.argv == above.argv or (name is not None and name == framework(above.argv))


def _above(member: Member, tree: Mapping[int, Member], helpers: set[int]) -> Member | None:
    """The nearest ancestor in the tree that is no helper."""
    seen = {member.pid}
    parent = tree.get(member.ppid)
    while parent is not None and parent.pid not in seen:
        if parent.pid not in helpers:
            return parent
        seen.add(parent.pid)
        parent = tree.get(parent.ppid)
    return None


def _parents_first(tree: Mapping[int, Member]) -> list[int]:
    """Every pid after its parent; pids that wrapped around put some children below parents."""

    def depth(pid: int) -> int:
        seen = {pid}
        while (pid := tree[pid].ppid) in tree and pid not in seen:
            seen.add(pid)
        return len(seen)

    return sorted(tree, key=depth)
