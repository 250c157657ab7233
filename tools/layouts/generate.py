"""Writes profiler/waitspy/remote/layout_tables.py from the headers of the CPythons that are named.

Usage: generate.py PYTHON[=INCLUDE] ...

PYTHON is an interpreter of one version, INCLUDE the folder with its Python.h (default: the one
that the interpreter names itself). All versions of the table have to be named: it is written
anew. Structures without a header are checked against the sizes that the interpreter's own types
state, and to where its objects hold what is known. Needs a C compiler (``$CC``, default ``cc``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TABLES = HERE.parents[1] / "profiler" / "waitspy" / "remote" / "layout_tables.py"

_ASK = """
import asyncio, collections, ctypes, functools, json, platform, queue, select, sys, sysconfig

def words(thing, count):
    return list((ctypes.c_uint64 * count).from_address(id(thing)))

async def nothing():
    pass

async def step():
    loop = asyncio.get_running_loop()
    task = loop.create_task(nothing())
    return words(loop._ready[-1]._callback, 3).index(id(task)) * 8

part = functools.partial(len, 1)
poll = select.epoll()
ring = collections.deque([0] * 100)
for _ in range(70):
    ring.popleft()
print(json.dumps({
    "version": platform.python_version(),
    "pair": list(sys.version_info[:2]),
    "include": sysconfig.get_path("include"),
    "platinclude": sysconfig.get_path("platinclude"),
    "seen": {
        "task_size": asyncio.Task.__basicsize__,
        "queue_size": queue.SimpleQueue.__basicsize__,
        "partial_function": words(part, 4).index(id(len)) * 8,
        "partial_args": words(part, 4).index(id(part.args)) * 8,
        "epoll_fd": [w & 0xFFFFFFFF for w in words(poll, 3)].index(poll.fileno(), 2) * 8,
        "deque_state": words(ring, 9).index(170) * 8,
        "task_wrapper_task": asyncio.run(step()),
    },
}))
"""

_HEADER = '''"""Where CPython keeps what is read: offsets in bytes, from each version's headers.

Written by tools/layouts/generate.py; do not edit. x86_64 Linux, default (GIL, not debug) builds:
{versions}.
COMMON holds what is the same in all of them, BY_VERSION the rest. Offsets of structures without
a header (asyncio's task, deque, SimpleQueue, partial, epoll) were checked against the objects of
a running interpreter of the same version.
"""

from __future__ import annotations

'''


def main(arguments: list[str]) -> int:
    """Compiles and runs offsets.c for every version, then writes the tables."""
    if not arguments:
        sys.stderr.write(__doc__ or "")
        return 2
    tables: dict[tuple[int, int], dict[str, int]] = {}
    versions = {}
    for argument in arguments:
        python, _, include = argument.partition("=")
        facts = json.loads(subprocess.check_output([python, "-c", _ASK], text=True))
        pair = (facts["pair"][0], facts["pair"][1])
        folders = [include or facts["include"], facts["platinclude"]]
        tables[pair] = measured(folders)
        versions[pair] = facts["version"]
        for name, seen in facts["seen"].items():
            if tables[pair][name] != seen:
                sys.stderr.write(f"{facts['version']}: {name} is {seen}, not as in offsets.c\n")
                return 1
    TABLES.write_text(rendered(tables, versions), encoding="utf-8")
    return 0


def measured(folders: list[str]) -> dict[str, int]:
    """The offsets that a program compiled with these include folders prints."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "offsets"
        includes = [f"-I{f}" for name in folders for f in (name, f"{name}/internal", f"{name}/..")]
        compiler = os.environ.get("CC", "cc")
        subprocess.run(
            [compiler, "-w", *includes, str(HERE / "offsets.c"), "-o", str(program)], check=True
        )
        lines = subprocess.check_output([str(program)], text=True).splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}


def rendered(
    tables: dict[tuple[int, int], dict[str, int]], versions: dict[tuple[int, int], str]
) -> str:
    """The module's text."""
    pairs = sorted(tables)
    names = list(dict.fromkeys(name for pair in pairs for name in tables[pair]))
    common = {
        name: tables[pairs[0]][name]
        for name in names
        if len({tables[pair].get(name) for pair in pairs}) == 1
    }
    lines = [_HEADER.format(versions=", ".join(versions[pair] for pair in pairs))]
    lines.append("COMMON: dict[str, int] = {\n")
    lines += [f'    "{name}": {value},\n' for name, value in common.items()]
    lines.append("}\n\nBY_VERSION: dict[tuple[int, int], dict[str, int]] = {\n")
    for pair in pairs:
        lines.append(f"    {pair}: {{\n")
        lines += [
            f'        "{name}": {value},\n'
            for name, value in tables[pair].items()
            if name not in common
        ]
        lines.append("    },\n")
    lines.append("}\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
