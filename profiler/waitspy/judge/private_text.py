"""What in a text, a path or a source line tells of a person, a host or a secret; and its stand-in.

Values that are known to be private (commands, the host's name, users) are looked for as they are,
the rest by how it looks. Stand-ins are the same for the same value within one report, so that a
reader can still tell two peers or two files apart.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from ipaddress import ip_address

from waitspy.model.code_origin import Origin, home_by_path

HIDDEN = "(hidden)"
_PROJECT = "project"
_PROGRAMS = re.compile(r"/(?:usr/(?:local/)?)?s?bin")
_HOMES = ("home", "Users", "root")
_LIBRARIES = ("lib", "lib64")
_LEAST_WORD = 3  # characters; a shorter name would hit half of all words
_LEAST_ARGUMENT = 6

_HOME = re.compile(r"/(?:home|Users)/([^/\s:]+)")
# No pattern may begin in the middle of what it repeats: texts can be long, and meant to be slow.
_URL = re.compile(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*")
_HARMLESS = re.compile(r"/proc/(?:\d+/\w+|sys/[\w/]+)|/(?:dev|sys)/[\w/]+")
_PATH = re.compile(r"(?<![\w.)/])(?:~[\w-]*)?/[^\s'\",;:()<>|]+")
_MAYBE_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:%\w+)?")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w)")
_HOST = re.compile(
    r"(?<![\w.-])(?:[\w-]+\.)+"
    r"(?:(?!pyx?\b|so\b)[a-z]{2,}(?=:\d{2,5}\b)|(?:com|net|org|internal|local|lan|corp)(?![\w.]))"
)
_QUOTED = r"(?:\"[^\"]*\"|'[^']*'|\S+)"
_VARIABLE = re.compile(rf"(?<![\w-])([A-Z][A-Z0-9_]{{2,}})=(?!=){_QUOTED}")
_SECRET = re.compile(
    r"(?<![\w-])([\w-]*(?:passw(?:or)?d|secret|token|api[_-]?key|credential|authorization)[\w-]*)"
    rf"(\s*[=:]\s*){_QUOTED}",
    re.IGNORECASE,
)
_UID = re.compile(r"\b(user) \d+")
# Before a socket's name, which may be any path, with spaces in it.
_SOCKET = re.compile(
    r"\b(connections (?:to accept on|to)|ready I/O on|datagrams(?: unread)? on) ([@/].*?)(?=$|: )",
    re.DOTALL,
)

_LITERAL = re.compile(r"""([A-Za-z]{0,2})(["'])((?:\\.|(?!\2).)*)\2""")


class Privacy:
    """The stand-ins of one report, given the files of its program and what is private for sure."""

    def __init__(self, files: Iterable[str], commands: Iterable[str], names: Iterable[str]) -> None:
        own = {file for file in files if _is_own_path(file)}
        told = list(commands)
        self._roots = _roots(own)
        self._files: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        users = {name for text in (*own, *told) for name in _HOME.findall(text)}
        self._words = [n for n in {*names, *users} if len(n) >= _LEAST_WORD and n != "localhost"]
        self._secrets = {one for command in told for one in _arguments(command)}
        self._own = own

    # --- paths -----------------------------------------------------------------------------------

    def path(self, file: str) -> str:
        """A code's file: of a library by its place in its package, else by that in the project."""
        found = self._files.get(file)
        if found is None:
            found = self._files[file] = self._short(file)
        return found

    def place(self, text: str) -> str:
        """As ``path``, for ``file:line``."""
        file, colon, line = text.rpartition(":")
        return f"{self.path(file)}:{line}" if colon and line.isdecimal() else self.path(text)

    def _short(self, file: str) -> str:
        if home_by_path(file).origin is not Origin.USER:
            return _in_library(file)
        if not file.startswith("/"):
            if file.startswith("<"):
                return self.text(file)
            return os.path.basename(file) if file.startswith(("..", "~")) else file
        folder, name = os.path.split(file)
        if _PROGRAMS.fullmatch(folder):
            return f"bin/{name}"
        for root, short in self._roots.items():
            if folder == root or folder.startswith(root.rstrip("/") + "/"):
                return short + file[len(root.rstrip("/")) :]
        return f"{HIDDEN}/{name}" if name.endswith(".py") else HIDDEN

    def listener(self, name: str) -> str:
        """As ``text``, for the address of a listening socket: that may be any path."""
        return HIDDEN if name.startswith(("/", "@")) else self.text(name)

    # --- texts -----------------------------------------------------------------------------------

    def text(self, text: str) -> str:
        """A text of the target, or of waitspy with such in it, without what is private."""
        if self._known is not None:
            text = self._known.sub(lambda match: self._stand_in(match[0]), text)
        text = _SOCKET.sub(rf"\1 {HIDDEN}", text)
        text = _URL.sub(HIDDEN, text)
        text = _VARIABLE.sub(rf"\1={HIDDEN}", text)
        text = _SECRET.sub(rf"\1\2{HIDDEN}", text)
        text = _MAIL.sub(HIDDEN, text)
        text = _PATH.sub(lambda match: self._path_in_text(match[0]), text)
        text = _MAYBE_IPV6.sub(lambda match: self._address(match[0]), text)
        text = _IPV4.sub(lambda match: self._address(match[0]), text)
        text = _HOST.sub(lambda match: self._numbered(match[0]), text)
        return _UID.sub(rf"\1 {HIDDEN}", text)

    @cached_property
    def _known(self) -> re.Pattern[str] | None:
        # The longest first, so that no part of one is left over.
        texts = [re.escape(text) for text in sorted({*self._own, *self._secrets}, key=_by_length)]
        words = [rf"(?<!\w){re.escape(word)}(?!\w)" for word in sorted(self._words, key=_by_length)]
        return re.compile("|".join((*texts, *words))) if texts or words else None

    def _stand_in(self, text: str) -> str:
        return self.path(text) if text in self._own else HIDDEN

    def _path_in_text(self, path: str) -> str:
        kept = path.rstrip(".")
        rest = path[len(kept) :]
        if _HARMLESS.fullmatch(kept):
            return path
        return (self.path(kept) if home_by_path(kept).origin is not Origin.USER else HIDDEN) + rest

    def _address(self, text: str) -> str:
        bare = text.rstrip(".:") if not text.endswith("::") else text
        try:
            address = ip_address(bare.partition("%")[0])
        except ValueError:
            return text
        if address.is_loopback or address.is_unspecified:
            return text
        return self._numbered(bare) + text[len(bare) :]

    def _numbered(self, address: str) -> str:
        return self._addresses.setdefault(address, f"address-{len(self._addresses) + 1}")

    # --- source ----------------------------------------------------------------------------------

    def source(self, line: str) -> str | None:
        """A line of code without its texts and comment; None where it may lie inside a text."""
        if '"""' in line or "'''" in line:
            return None
        code, rest = "", line
        while found := _LITERAL.search(rest):
            before = rest[: found.start(2)]
            if "#" in before:
                break
            end = found.end()
            if "f" in found[1].lower() and "{" in found[3]:
                # since 3.12 its parts may hold the quotes that would end it
                end = rest.rindex(found[2]) + 1
            code, rest = f'{code}{before}"..."', rest[end:]
        left = rest.partition("#")[0]
        if '"' in left or "'" in left:
            return None
        return self.text(f"{code}{left}".rstrip())


def _by_length(text: str) -> tuple[int, str]:
    return -len(text), text


def _is_own_path(file: str) -> bool:
    return file.startswith("/") and home_by_path(file).origin is Origin.USER


def _in_library(file: str) -> str:
    """Its end from the folder on by which its path is known: renderers ask that again."""
    short = home_by_path(file).short
    head = file[: len(file) - len(short)].rstrip("/")
    folder = os.path.basename(head)
    above = os.path.basename(os.path.dirname(head))
    return "/".join(filter(None, (above if above in _LIBRARIES else "", folder, short)))


def _roots(files: Iterable[str]) -> Mapping[str, str]:
    """Where the program's own files lie, and what stands for it; the longest root first.

    Files that share the first two folders (three below ``/home``) are one project, whose root is
    the deepest folder that has all of them.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for file in files:
        folder = os.path.dirname(file)
        if _PROGRAMS.fullmatch(folder):
            continue
        parts = tuple(filter(None, folder.split("/")))
        groups.setdefault(parts[: 3 if parts[:1] and parts[0] in _HOMES else 2], []).append(folder)
    order: Sequence[list[str]] = sorted(groups.values(), key=lambda some: (-len(some), min(some)))
    named = {
        os.path.commonpath(folders): _PROJECT if n == 1 else f"{_PROJECT}-{n}"
        for n, folders in enumerate(order, 1)
    }
    return dict(sorted(named.items(), key=lambda item: _by_length(item[0])))


def _arguments(command: str) -> Iterable[str]:
    """The command, and those of its words that are more than a word."""
    if command:
        yield command
    for word in command.split():
        _, equals, value = word.partition("=")
        for one in (word, value) if equals else (word,):
            if len(one) >= _LEAST_ARGUMENT and not re.fullmatch(r"-*[a-z.]+", one):
                yield one
