"""Code objects: the function, file and lines of an instruction, remembered while they are the same.

Code comes and goes, and another one may lie at its address. From 3.12 on each has a number of its
own. Before, the pointers that it holds are compared, and in ``codes`` what they lead to as well:
a name that was freed with its code may lie where another one does now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from waitspy.model.code_origin import Homes
from waitspy.model.stacks import Frame, placed
from waitspy.remote.line_tables import line_at
from waitspy.remote.memory import Torn, Unreadable, word_at
from waitspy.remote.objects import Objects
from waitspy.remote.type_facts import LONGEST_PATH

_LONGEST_TABLE = 1 << 18
_MOST_CODES = 10_000
_MOST_BYTECODE = 1 << 26
_COUNTED = 8  # bytes of an object that count its references: they always change
_COMPARED = 64  # bytes of a name or table: its length, its hash and how it begins


@dataclass(slots=True)
class _Code:
    """What is known of a code object.

    ``head`` is how it begins, of which ``mark`` tells another one at the same address; ``pieces``
    are the places of its names and its table (up to 3.11), ``told`` what stood there. ``size`` is
    that of its instructions, ``at`` has the frames of those that were asked for.
    """

    head: bytes
    mark: bytes
    first_line: int
    frame: Frame
    lines: bytes
    size: int
    pieces: tuple[tuple[int, int], ...] = ()
    told: tuple[bytes | None, ...] = ()
    at: dict[int, Frame] = field(default_factory=dict)


class Proof(NamedTuple):
    """Where to read, and what has to be there, one place after the other."""

    places: list[tuple[int, int]]
    told: bytes


class Codes:
    """Reads code objects of one process.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._codes: dict[int, _Code] = {}
        self.homes = Homes()

    def know(self, homes: Homes) -> None:
        """Frames that are read from now on know whose they are."""
        self.homes = homes
        self._codes.clear()

    def _placed(self, function: str, file: str, line: int | None) -> Frame:
        return placed(Frame(function, file, line), self.homes.of(file))

    def code(self, address: int, instruction: int | None = None) -> Frame:
        """The function of a code object, at the line of that instruction or at its first one.

        ``instruction`` is the pointer or index that the frame holds.
        """
        raw = self.objects.memory.read(address, self.code_size)
        return self._at(address, self._code(address, raw), instruction)

    def codes(
        self, places: Sequence[tuple[int, int]], *, known_only: bool = False
    ) -> list[Frame | None]:
        """The same of many code objects, each with an instruction; None for what is none.

        With ``known_only`` None, too, for what was not known before: since a frame that runs was
        read, other code may have come to lie there.
        """
        before = {code: self._codes.get(code) for code, _ in places}
        known = self._same(before)
        found: list[Frame | None] = []
        for address, instruction in places:
            one = known[address]
            if known_only and one is not before[address]:
                one = None
            try:
                found.append(None if one is None else self._at(address, one, instruction))
            except Unreadable:
                found.append(None)
        return found

    def proof(self, addresses: Iterable[int]) -> Proof:
        """What shows later that the code at these addresses is still what it is; Torn where some
        of it is not known.
        """
        places: list[tuple[int, int]] = []
        told: list[bytes] = []
        for address in addresses:
            known = self._codes.get(address)
            if known is None or None in known.told:
                raise Torn("code that is not known")
            places += [(address + _COUNTED, len(known.head)), *known.pieces]
            told += [known.head, *filter(None, known.told)]
        return Proof(places, b"".join(told))

    def known(self, address: int, instruction: int) -> Frame:
        """The frame of code that was just proven; Torn if it has no such instruction."""
        known = self._codes.get(address)
        if known is None:
            raise Torn("code that is not known any more")
        return self._at(address, known, instruction)

    def _same(self, addresses: Iterable[int]) -> dict[int, _Code | None]:
        """What lies at these addresses now; None where it is no code."""
        wanted = list(addresses)
        found: dict[int, _Code | None] = {}
        proven: list[_Code] = []
        size, known = self.code_size, [self._codes.get(address) for address in wanted]
        # what is known already is proven by what its pieces lead to, read in the same call
        told = self.objects.memory.pieces(
            [(address, size) for address in wanted]
            + [at for one in known if one is not None for at in one.pieces]
        )
        for address, before, raw in zip(wanted, known, told, strict=False):
            try:
                one = None if raw is None else self._code(address, raw)
            except Unreadable:
                one = None
            found[address] = one
            if one is not None and one is before:
                proven.append(one)
        if self.objects.layout.code_version:
            return found
        pieces = iter(told[len(wanted) :])
        same = {
            id(one): tuple(next(pieces) for _ in one.pieces) == one.told
            for one in known
            if one is not None
        }
        others = {id(one) for one in proven if not same[id(one)]}
        for address, one in found.items():
            if one is not None and id(one) in others:
                del self._codes[address]
                found[address] = self._same((address,))[address]
        return found

    def _at(self, address: int, known: _Code, instruction: int | None) -> Frame:
        if instruction is None:
            return known.frame
        found = known.at.get(instruction)
        if found is not None:
            return found
        lay = self.objects.layout
        offset = instruction
        if lay.pair >= (3, 11):
            offset -= address + lay.code_bytecode
        elif lay.pair == (3, 10):
            offset *= 2
        if not -2 <= offset <= known.size:  # -2: it has not begun yet
            raise Torn("an instruction of other code")
        line = line_at(lay.pair, known.lines, known.first_line, offset)
        found = self._placed(known.frame.function, known.frame.file, line)
        known.at[instruction] = found
        return found

    @property
    def code_size(self) -> int:
        """Bytes of a code object that tell it from others."""
        lay = self.objects.layout
        return 8 + max(
            lay.code_file, lay.code_name, lay.code_qualname, lay.code_lines, lay.code_first_line,
            lay.code_locals, lay.code_exceptions,
        )  # fmt: skip

    def _code(self, address: int, raw: bytes) -> _Code:
        lay = self.objects.layout
        known = self._codes.get(address)
        head = raw[_COUNTED:]
        if known is not None and known.head == head:
            return known
        mark = self._mark(raw)
        if known is not None and known.mark == mark:
            known.head = head
            return known
        if self.objects.type_at(word_at(raw, lay.ob_type)).name != "code":
            raise Torn("not a code object")
        if len(self._codes) >= _MOST_CODES:
            self._codes.clear()
        self._codes[address] = made = self._read(raw, head, mark)
        return made

    def _mark(self, raw: bytes) -> bytes:
        lay = self.objects.layout
        used = (lay.code_file, lay.code_name, lay.code_qualname, lay.code_lines)
        numbers = (lay.code_first_line, lay.code_version)
        parts = [raw[at : at + 8] for at in used if at] + [raw[at : at + 4] for at in numbers if at]
        return raw[lay.ob_type : lay.ob_type + 8] + b"".join(parts)

    def _read(self, raw: bytes, head: bytes, mark: bytes) -> _Code:
        lay, memory = self.objects.layout, self.objects.memory
        first = word_at(raw, lay.code_first_line, "i")
        name, file = word_at(raw, lay.code_qualname or lay.code_name), word_at(raw, lay.code_file)
        table = word_at(raw, lay.code_lines)
        length = memory.word(table + lay.ob_size)
        if length > _LONGEST_TABLE:
            raise Torn("a line table of unlikely length")
        lines = memory.read(table + lay.bytes_value, length) if length else b""
        if lay.pair >= (3, 11):
            size = 2 * word_at(raw, lay.ob_size)
        else:
            size = memory.word(word_at(raw, lay.code_bytes) + lay.ob_size)
        if size > _MOST_BYTECODE:
            raise Torn("code of unlikely length")
        frame = self._placed(
            self.objects.text(name),
            self.objects.text(file, LONGEST_PATH),
            first if 0 < first < 1 << 24 else None,
        )
        made = _Code(head, mark, first, frame, lines, size)
        if not lay.code_version:
            made.pieces = tuple(
                (at + lay.ob_size, min(_COMPARED, header - lay.ob_size + length))
                for at, header, length in (
                    (name, lay.str_ascii_size, len(frame.function)),
                    (file, lay.str_ascii_size, len(frame.file)),
                    (table, lay.bytes_value, length),
                )
            )
            made.told = tuple(memory.pieces(made.pieces))
        return made
