"""Reads where an interpreter finds its modules: what ``sys`` says of it."""

from __future__ import annotations

from contextlib import suppress

from waitspy.remote.anchors import InterpreterState
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.type_facts import LONGEST_PATH
from waitspy.remote.values import ImportFacts

_PREFIXES = ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix")
_MOST_PATHS = 1024

_OF_SYS = {"path", "argv", "_stdlib_dir", "frozen", "_MEIPASS", *_PREFIXES}


def import_facts(interp: InterpreterState) -> ImportFacts:
    """What that interpreter says.

    Raises:
        Unreadable: it is only starting, or something changed while it was read.
    """
    known = interp.names_of("sys", _OF_SYS)
    if "path" not in known:
        raise Torn("sys has no path yet")
    arguments: list[str] = []
    with suppress(Unreadable):  # programs may put something else there
        arguments = _texts(interp, known.get("argv"), 1)
    return ImportFacts(
        path=tuple(_texts(interp, known["path"], _MOST_PATHS)),
        prefixes=tuple(t for n in _PREFIXES if (t := _text(interp, known.get(n))) is not None),
        library=_text(interp, known.get("_stdlib_dir")) or _folder_of_os(interp),
        frozen=known.get("frozen", interp.none) != interp.none,
        bundle=_text(interp, known.get("_MEIPASS")),
        argv0=arguments[0] if arguments else None,
    )


def _folder_of_os(interp: InterpreterState) -> str | None:
    """From 3.11 on ``sys`` says it, before it is where ``os`` is."""
    file = _text(interp, interp.attribute_of("os", "__file__"))
    return file.rpartition("/")[0] if file else None


def _texts(interp: InterpreterState, address: int | None, most: int) -> list[str]:
    """The strs of a list, the first ones; what is none is left out."""
    if address is None:
        return []
    items = interp.objects.sequence(address)[:most]
    return [text for item in items if (text := _text(interp, item)) is not None]


def _text(interp: InterpreterState, address: int | None) -> str | None:
    """A path; None for what is none, or too long for one."""
    if address is None:
        return None
    with suppress(Unreadable):
        text = interp.objects.text(address, LONGEST_PATH)
        return text if len(text) < LONGEST_PATH else None
    return None
