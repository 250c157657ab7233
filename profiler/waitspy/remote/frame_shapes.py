"""Where the fields of a thread's frames lie, by version: what unpacks copies of them quickly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from waitspy.remote.layouts import Layout
from waitspy.remote.memory import packed

_COPIES = 4  # of frames that lie in one piece, read within some nanoseconds
_COPIES_APART = 10  # up to 3.10, where each frame is read for itself
_EXECUTING = 0  # FRAME_EXECUTING of 3.10
OWNED_BY_C = 3
"""From 3.12 on, frames with this owner or a higher one are entries from C code, without code of
their own (enum _frameowner of pycore_frame.h and pycore_interpframe_structs.h)."""

_CODE = ~3  # from 3.14 on the two lowest bits of a pointer to code are tags (pycore_stackref.h)


class Head(NamedTuple):
    """What a thread state says: where its frame (or C frame) is, and its data stack."""

    frame: int
    ident: int
    chunk: int = 0
    top: int = 0
    limit: int = 0


class RawFrame(NamedTuple):
    """A frame as it was copied."""

    back: int
    code: int
    instruction: int
    owner: int


class FrameShape:
    """How thread states and frames of one version are read; ``fields`` are those of a frame, in the
    order of ``RawFrame``, each with its offset and type.

    Raises:
        Torn: from the constructor: the target lies about where its fields are.
    """

    def __init__(self, lay: Layout) -> None:
        self.has_chunks = lay.pair >= (3, 11)
        self.copies = _COPIES if self.has_chunks else _COPIES_APART
        self.by_cframe = lay.pair in {(3, 11), (3, 12)}
        self.cframe_frame = lay.cframe_frame
        self._has_c_frames = lay.pair >= (3, 12)
        # what is called the owner says up to 3.10 whether it executes
        self.executing = _EXECUTING if lay.pair == (3, 10) else 1
        owner = lay.frame_owner or lay.frame_state or lay.frame_executing
        self.fields = (
            (lay.frame_back, "Q"),
            (lay.frame_code, "Q"),
            (lay.frame_instruction, "Q" if self.has_chunks else "i"),
            (owner, "b"),
        )
        self._frame, self._order = packed(self.fields)
        self.size = self._frame.size
        self.frame_at, self.ident_at = lay.thread_frame, lay.thread_ident
        head = [self.frame_at, self.ident_at]
        if self.has_chunks:
            head += [lay.thread_chunk, lay.thread_chunk_top, lay.thread_chunk_top + 8]
        self._head, self._head_order = packed([(at, "Q") for at in head])
        self.head_size = self._head.size

    def head(self, raw: bytes) -> Head:
        """What the beginning of a thread state says."""
        words = self._head.unpack(raw)
        return Head(*(words[n] for n in self._head_order))

    def is_of_c(self, frame: RawFrame) -> bool:
        """Whether it is no frame of Python, but an entry from C code."""
        return self._has_c_frames and frame.owner >= OWNED_BY_C

    def frame(self, raw: bytes, offset: int) -> RawFrame:
        """The frame that lies there in what was read."""
        words = self._frame.unpack_from(raw, offset)
        return raw_frame([words[n] for n in self._order])


def raw_frame(words: Sequence[int]) -> RawFrame:
    """A frame whose fields have these values."""
    back, code, instruction, owner = words
    return RawFrame(back, code & _CODE, max(0, instruction), owner)
