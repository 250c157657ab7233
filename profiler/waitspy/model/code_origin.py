"""Whose code a frame is: the program's own, a framework's, another package's, or the library's.

A file's own path tells it where packages lie in a folder of their own. Elsewhere, in a packed
program say, it takes what the target's interpreter says of itself: a ``Program``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import lru_cache
from typing import Literal, get_args

import msgspec

from waitspy.model.known_packages import FRAMEWORKS, LIBRARIES, MAKERS, STDLIB

_PACKAGES = re.compile(r"(?:^|/)(?:site-packages|dist-packages)/([^/]+)")
_STDLIB = re.compile(r"(?:^|/)lib(?:64)?/python\d+(?:\.\d+)?t?(?:\.zip)?/|(?:^|/)python3\d+\.zip/")
_NODE_PACKAGES = re.compile(r".*(?:^|/)node_modules/((?:@[^/]+/)?[^/]+)")
_NODE = "node:"
_FROZEN = re.compile(r"<frozen ([\w.]+)>\Z")
_MADE = re.compile(r"<(\w[\w-]*)")
_TYPED = ("<stdin>", "<console>", "<input>", "<ipython-input", "<doctest ")
_COMMAND = "<string>"


class Origin(Enum):
    """Where code comes from."""

    USER = "user"
    PACKAGE = "package"
    FRAMEWORK = "framework"
    STDLIB = "stdlib"


class Home(msgspec.Struct, frozen=True, gc=False):
    """Whose a file is: ``package`` is the top folder of installed code, None for other code.

    ``short`` is an installed file by its place in its package, a library file in the library.
    ``made`` says that it is no file but code that a program made as it ran, by a name that tells
    nothing of who made it.
    """

    origin: Origin
    package: str | None
    short: str
    made: bool = False


CodePathKind = Literal["program", "mixed", "packages", "library"]
"""What lies in a place that modules come from: ``mixed`` holds a program with its packages."""

_KINDS = get_args(CodePathKind)


class CodePath(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A place that modules come from; ``installed`` names in it were put there by an installer.

    Of a ``mixed`` one without a path are the files of a frozen program, which have no folder.
    """

    path: str
    kind: CodePathKind
    installed: tuple[str, ...] = ()


class Program(msgspec.Struct, frozen=True):
    """What an interpreter says of where its code is; ``argv0`` is how its program was named."""

    paths: tuple[CodePath, ...] = ()
    argv0: str | None = None

    def after(self, earlier: Program) -> Program:
        """The same with the places that the interpreter named earlier, and no longer does."""
        named = {one.path for one in self.paths}
        rest = tuple(one for one in earlier.paths if one.path not in named)
        return Program(self.paths + rest, self.argv0)


def base_name(function: str) -> str:
    """The last part of a name: frames are qualified from CPython 3.11 on only."""
    return function.rsplit(".", 1)[-1]


# --- by the path alone ---------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def home_by_path(file: str) -> Home:
    """Whose code that file holds, where its interpreter is not known."""
    if file.startswith("<"):
        return _home_of_pseudo_file(file, commands=True)
    return _home_by_pattern(file, 0) or Home(Origin.USER, None, file)


def _home_by_pattern(file: str, since: int) -> Home | None:
    """By the names of the folders that come after so many characters; None: they tell nothing."""
    if file.startswith(_NODE):  # Node.js itself
        return Home(Origin.STDLIB, None, file)
    of_node = _NODE_PACKAGES.match(file, since)
    if of_node:
        return Home(Origin.PACKAGE, of_node[1], file[of_node.start(1) :])
    found = _PACKAGES.search(file, since)
    if found:
        origin = Origin.FRAMEWORK if found[1] in FRAMEWORKS else Origin.PACKAGE
        return Home(origin, found[1], file[found.start(1) :])
    library = _STDLIB.search(file, since)
    return Home(Origin.STDLIB, None, file[library.end() :]) if library else None


def _home_of_pseudo_file(file: str, *, commands: bool) -> Home:
    """Of what is no file: ``commands`` says that the program itself may be a ``<string>``."""
    frozen = _FROZEN.match(file)
    if frozen:
        top = frozen[1].partition(".")[0]
        if top in STDLIB or top.startswith("_"):
            return Home(Origin.STDLIB, None, file)
        return _home_among(LIBRARIES, file, top) or Home(Origin.USER, None, file)
    if file.startswith(_TYPED) or (commands and file == _COMMAND):
        return Home(Origin.USER, None, file)
    made = _MADE.match(file)
    top = MAKERS.get(made[1], made[1]) if made else ""
    return _home_among(LIBRARIES, file, top) or Home(Origin.USER, None, file, made=True)


def _home_among(packages: AbstractSet[str], file: str, top: str) -> Home | None:
    """By the name of the folder that holds its package; None: it may be anybody's."""
    if top in FRAMEWORKS:
        return Home(Origin.FRAMEWORK, top, file)
    return Home(Origin.PACKAGE, top, file) if top in packages else None


# --- by what interpreters say --------------------------------------------------------------------


class Homes:
    """Whose the files of a recording are, by what its interpreters said of themselves."""

    __slots__ = ("_commands", "_frozen", "_known", "_paths")

    def __init__(self, programs: Iterable[Program] = ()) -> None:
        self._paths: dict[str, tuple[CodePathKind, frozenset[str]]] = {}
        self._known: dict[str, Home] = {}
        told = list(programs)
        for one in (path for program in told for path in program.paths):
            kind, installed = self._paths.get(one.path, (one.kind, frozenset()))
            kind = max(kind, one.kind, key=_KINDS.index)  # one of them may know more
            self._paths[one.path] = kind, installed | set(one.installed)
        self._frozen = self._paths.get("")
        self._commands = not told or any(p.argv0 in {None, "-c"} for p in told)

    def of(self, file: str) -> Home:
        """Whose code that file holds; where no interpreter says it, as its path does."""
        found = self._known.get(file)
        if found is None:
            found = self._known[file] = self._of(file)
        return found

    def _of(self, file: str) -> Home:
        if file.startswith("<"):
            return _home_of_pseudo_file(file, commands=self._commands)
        folder, slash, _ = file.rpartition("/")
        while slash:
            place = self._paths.get(folder or "/")
            if place is not None:
                return self._within(file, len(folder.rstrip("/")) + 1, *place)
            folder, slash, _ = folder.rpartition("/")
        if self._frozen is not None and not file.startswith(("/", _NODE)):
            return self._within(file, 0, *self._frozen)
        return home_by_path(file)

    def _within(self, file: str, since: int, kind: CodePathKind, installed: frozenset[str]) -> Home:
        deeper = _home_by_pattern(file, since - 1) if since else None
        if deeper is not None:  # of an interpreter that was not asked
            return deeper
        short = file[since:]
        top = short.partition("/")[0]
        if kind == "library":
            return Home(Origin.STDLIB, None, short)
        if kind == "packages":
            origin = Origin.FRAMEWORK if top in FRAMEWORKS else Origin.PACKAGE
            return Home(origin, top, short)
        if kind == "mixed":
            frozen = self._frozen is not None
            # Few packages leave a note of themselves in a frozen program, elsewhere all or none.
            packages = installed | LIBRARIES if frozen else installed or LIBRARIES
            if (known := _home_among(packages, short, top)) is not None:
                return known
            if frozen and top.removesuffix(".py") in STDLIB:
                return Home(Origin.STDLIB, None, short)
        return Home(Origin.USER, None, file)
