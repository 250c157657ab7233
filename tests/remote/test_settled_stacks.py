"""A stack that was found before is known again, and is never taken for another one."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

import pytest

from waitspy.model.stacks import Frame, Stack
from waitspy.remote import layouts
from waitspy.remote.codes import Codes, Proof
from waitspy.remote.frame_shapes import FrameShape, RawFrame
from waitspy.remote.memory import Memory, Torn, Unreadable
from waitspy.remote.objects import Objects
from waitspy.remote.settled_stacks import Settled
from waitspy.remote.thread_stacks import ThreadState

APART = 512  # bytes from one frame to the next
IDENT = 4711
RUN, SERVE, HANDLE, PARSE, OTHER = 0x7000, 0x7100, 0x7200, 0x7300, 0x7400  # code
BYTES = b"what tells this code from other code"


class KnownCodes(Codes):
    """Code of which everything is known: at an address, at an instruction. ``told`` proves it."""

    def __init__(self, objects: Objects) -> None:
        super().__init__(objects)
        self.told = ctypes.create_string_buffer(BYTES, len(BYTES))

    def proof(self, addresses: Iterable[int]) -> Proof:
        assert set(addresses) <= {RUN, SERVE, HANDLE, PARSE}
        return Proof([(ctypes.addressof(self.told), len(BYTES))], BYTES)

    def known(self, address: int, instruction: int) -> Frame:
        if instruction >= 900:
            raise Torn("an instruction of other code")
        return Frame(f"f{address:x}", "/app.py", instruction)


class Thread:
    """The thread of an interpreter, in this process's own memory, that has called run(), serve(),
    handle() and parse(), one above the other.
    """

    def __init__(self, pair: tuple[int, int]) -> None:
        self.layout = layouts.of_version(pair)
        self.objects = Objects(Memory(os.getpid()), self.layout)
        self.shape = FrameShape(self.layout)
        self.stack = ctypes.create_string_buffer(4 * APART)
        self.state = ctypes.create_string_buffer(1024)
        self.cframe = ctypes.create_string_buffer(64)
        self.codes = KnownCodes(self.objects)
        self.write(self.state, self.layout.thread_ident, IDENT)
        self.stand(3)

    @staticmethod
    def write(where: ctypes.Array[ctypes.c_char], at: int, word: int, size: int = 8) -> None:
        ctypes.memmove(ctypes.addressof(where) + at, word.to_bytes(size, "little"), size)

    def at(self, level: int) -> int:
        return ctypes.addressof(self.stack) + level * APART

    def put(self, level: int, code: int, instruction: int, back: int, owner: int = 1) -> None:
        for (at, kind), word in zip(
            self.shape.fields, (back, code, instruction, owner), strict=True
        ):
            self.write(self.stack, level * APART + at, word, {"Q": 8, "i": 4, "b": 1}[kind])

    def moves(self, level: int, instruction: int) -> None:
        at, kind = self.shape.fields[2]
        self.write(self.stack, level * APART + at, instruction, {"Q": 8, "i": 4}[kind])

    def stand(self, level: int) -> None:
        """That frame is the innermost one now."""
        if self.shape.by_cframe:
            self.write(self.state, self.shape.frame_at, ctypes.addressof(self.cframe))
            self.write(self.cframe, self.shape.cframe_frame, self.at(level))
        else:
            self.write(self.state, self.shape.frame_at, self.at(level))

    def settled(self, owners: tuple[int, ...] = (1, 1, 1, 1)) -> Settled:
        chain: dict[int, RawFrame] = {}
        back, stack = 0, []
        for level, code in enumerate((RUN, SERVE, HANDLE, PARSE)):
            raw = RawFrame(back, code, 10 * (level + 1), owners[level])
            self.put(level, *raw[1:3], back, owners[level])
            chain = {self.at(level): raw, **chain}
            back = self.at(level)
            if not self.shape.is_of_c(raw):
                stack.append(self.codes.known(code, raw.instruction))
        cframe = ctypes.addressof(self.cframe) if self.shape.by_cframe else 0
        part = (self.at(0), 4 * APART) if self.shape.has_chunks else (0, 0)
        thread = ThreadState(ctypes.addressof(self.state), IDENT)
        return Settled(
            self.objects.memory, self.codes, self.shape, thread, cframe, part, chain, tuple(stack)
        )


def told(stack: Stack | None) -> list[tuple[int, int | None]] | None:
    return None if stack is None else [(int(one.function[1:], 16), one.line) for one in stack]


WHOLE = [(RUN, 10), (SERVE, 20), (HANDLE, 30), (PARSE, 40)]


@pytest.fixture(params=sorted(layouts.PAIRS), ids=lambda pair: f"{pair[0]}.{pair[1]}")
def thread(request: pytest.FixtureRequest) -> Thread:
    return Thread(request.param)


def test_the_innermost_frame_may_stand_elsewhere(thread: Thread) -> None:
    settled = thread.settled()
    assert told(settled.look()) == WHOLE
    thread.moves(3, 44)
    assert told(settled.look()) == [*WHOLE[:3], (PARSE, 44)]
    assert settled.look() is settled.look()
    thread.moves(3, 999)  # code has no such instruction
    assert settled.look() is None


def test_what_has_returned_is_left_out_and_comes_back(thread: Thread) -> None:
    settled = thread.settled()
    for level in (2, 1, 0, 2):
        thread.stand(level)
        thread.moves(level, 10 * (level + 1) + 5)
        line = WHOLE[level][1] + 5
        assert told(settled.look()) == [*WHOLE[:level], (WHOLE[level][0], line)]
        assert settled.innermost == thread.at(level)
        thread.moves(level, WHOLE[level][1])
    thread.stand(3)
    assert told(settled.look()) == WHOLE


def test_other_calls_are_not_taken_for_those_that_were_there(thread: Thread) -> None:
    settled = thread.settled()
    thread.moves(2, 33)  # it calls from another line
    assert settled.look() is None
    thread.moves(2, 30)
    thread.put(3, OTHER, 40, thread.at(2))  # another function
    assert settled.look() is None
    thread.put(3, PARSE, 40, thread.at(1))  # called by somebody else
    assert settled.look() is None
    thread.stand(2)  # of what is over, nothing counts
    assert told(settled.look()) == WHOLE[:3]
    thread.moves(1, 22)
    assert settled.look() is None


def test_a_frame_that_is_none_of_them_has_to_be_followed(thread: Thread) -> None:
    settled = thread.settled()
    for elsewhere in (0, thread.at(3) + 8):
        where, at = thread.state, thread.shape.frame_at
        if thread.shape.by_cframe:
            where, at = thread.cframe, thread.shape.cframe_frame
        thread.write(where, at, elsewhere)
        assert settled.look() is None
        assert settled.innermost == elsewhere


def test_another_thread_or_other_code_at_the_same_place_is_seen(thread: Thread) -> None:
    settled = thread.settled()
    thread.write(thread.state, thread.shape.ident_at, IDENT + 1)
    assert settled.look() is None
    thread.write(thread.state, thread.shape.ident_at, IDENT)
    thread.codes.told.raw = b"OTHER".ljust(len(BYTES))
    assert settled.look() is None


def test_another_c_frame_is_seen() -> None:
    thread = Thread((3, 11))
    settled = thread.settled()
    other = ctypes.create_string_buffer(thread.cframe.raw, 64)
    thread.write(thread.state, thread.shape.frame_at, ctypes.addressof(other))
    assert settled.look() is None


def test_an_entry_from_c_is_no_frame_and_nothing_is_known_of_what_it_begins() -> None:
    thread = Thread((3, 12))
    settled = thread.settled(owners=(1, 1, 3, 1))
    assert told(settled.look()) == [WHOLE[0], WHOLE[1], WHOLE[3]]
    thread.stand(2)
    assert settled.look() is None
    thread.stand(1)
    assert told(settled.look()) == WHOLE[:2]
    with pytest.raises(Unreadable):
        thread.settled(owners=(1, 1, 1, 3))


def test_what_has_changed_meanwhile_does_not_settle(thread: Thread) -> None:
    thread.stand(2)
    with pytest.raises(Unreadable):
        thread.settled()
