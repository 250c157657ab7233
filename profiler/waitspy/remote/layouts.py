"""The layout of one interpreter: where its structures keep what is read.

The tables give it for each version; what the interpreter publishes itself, or what its types
state of themselves, goes before them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from waitspy.remote import debug_offsets
from waitspy.remote.layout_tables import BY_VERSION, COMMON
from waitspy.remote.memory import Unavailable

PAIRS = frozenset(BY_VERSION)
"""The versions (major, minor) that have a table."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets in bytes by structure and field; a field that a version does not have is zero.

    ``minor`` is that of the version. Fields whose names end in ``_size``, ``_items`` (of a deque's
    block), ``_shift`` and ``_bit`` are sizes, counts and bit numbers; ``frame_awaiting_*``
    and ``frame_cleared`` are states of a coroutine's frame.
    """

    minor: int
    object_size: int
    ob_type: int
    ob_size: int
    type_name: int
    type_basicsize: int
    type_flags: int
    type_weaklistoffset: int
    type_dict: int
    type_dictoffset: int
    type_mro: int
    type_cached_keys: int
    module_dict: int
    dict_used: int
    dict_keys: int
    dict_values: int
    keys_nentries: int
    keys_indices: int
    set_used: int
    set_mask: int
    set_table: int
    weakref_object: int
    list_items: int
    tuple_items: int
    float_value: int
    bytes_value: int
    str_length: int
    str_state: int
    str_kind_shift: int
    str_compact_bit: int
    str_ascii_bit: int
    str_ascii_size: int
    str_compact_size: int
    int_size: int
    int_digits: int
    member_name: int
    member_offset: int
    member_size: int
    function_code: int
    function_globals: int
    function_closure: int
    function_qualname: int
    cell_content: int
    lock_handle: int
    lock_owner: int
    descriptor_name: int
    method_function: int
    method_self: int
    builtin_def: int
    builtin_self: int
    partial_function: int
    partial_args: int
    epoll_fd: int
    deque_left_block: int
    deque_left_index: int
    deque_state: int
    deque_block_data: int
    deque_block_right: int
    deque_block_items: int
    queue_size: int
    runtime_interpreters: int
    interp_next: int
    interp_id: int
    gc_collecting: int
    gil_holder: int
    gil_locked: int
    interp_threads: int
    interp_modules: int
    thread_next: int
    thread_dict: int
    thread_ident: int
    thread_frame: int
    frame_code: int
    frame_instruction: int
    frame_stack_top: int
    frame_locals: int
    frame_back: int
    code_file: int
    code_name: int
    code_names: int
    code_first_line: int
    code_lines: int
    gen_qualname: int
    gen_frame: int
    awaitable_wrapped: int
    task_size: int
    task_loop: int
    task_state: int
    task_waiter: int
    task_coroutine: int
    task_name: int
    task_wrapper_task: int
    # 3.8 to 3.10: frames are objects
    frame_value_stack: int = 0
    frame_block_count: int = 0
    frame_blocks: int = 0
    block_size: int = 0
    block_handler: int = 0
    block_level: int = 0
    code_bytes: int = 0
    # 3.8, 3.9
    gen_running: int = 0
    frame_executing: int = 0
    # 3.8: one collector for all interpreters
    runtime_gc: int = 0
    # up to 3.11: one GIL for all interpreters
    runtime_gil: int = 0
    # 3.9 and newer
    interp_gc: int = 0
    # 3.10 and newer: frames have a state
    frame_state: int = 0
    frame_awaiting_first: int = 0
    frame_awaiting_last: int = 0
    frame_cleared: int = 0
    # 3.11 and 3.12: the thread's frame is where its C frame says
    cframe_frame: int = 0
    # 3.11 and newer
    frame_owner: int = 0
    thread_native_id: int = 0
    thread_chunk: int = 0
    thread_chunk_top: int = 0
    chunk_previous: int = 0
    chunk_top: int = 0
    chunk_data: int = 0
    code_qualname: int = 0
    code_bytecode: int = 0
    code_exceptions: int = 0
    code_locals: int = 0
    gen_state: int = 0
    # 3.12 and newer: each code object has a number of its own; interpreters may have GILs, too
    code_version: int = 0
    interp_gil: int = 0
    # SimpleQueue: a list up to 3.12, a ring after
    queue_list: int = 0
    queue_list_position: int = 0
    queue_get_index: int = 0
    queue_items: int = 0
    queue_capacity: int = 0
    queue_count: int = 0
    # 3.13 and newer
    thread_running_loop: int = 0
    # 3.14 and newer
    task_node: int = 0
    thread_running_task: int = 0
    thread_tasks: int = 0
    interp_tasks: int = 0

    @property
    def pair(self) -> tuple[int, int]:
        """Major and minor version."""
        return 3, self.minor


def of_version(pair: tuple[int, int]) -> Layout:
    """The layout as the table has it.

    Raises:
        Unavailable: there is none for that version.
    """
    if pair not in BY_VERSION:
        raise Unavailable("the structures of Python {}.{} are not known".format(*pair))
    return Layout(minor=pair[1], **COMMON, **BY_VERSION[pair])


def with_debug_offsets(layout: Layout, head: bytes) -> Layout:
    """The layout corrected by what 3.13 and newer publish at ``_PyRuntime``.

    Raises:
        Unavailable: that is not the table of a release, or contradicts what never changed.
    """
    said = debug_offsets.interpreter(head, layout.pair)
    for name in ("ob_type", "type_name", "type_flags"):
        if said[name] != COMMON[name]:
            raise Unavailable("the interpreter's offsets contradict the layout of objects")
    size = said["thread_chunk"] - layout.thread_chunk
    return replace(layout, **said, thread_chunk_top=layout.thread_chunk_top + size)


def with_asyncio_offsets(layout: Layout, section: bytes) -> Layout:
    """The layout corrected by the ``.AsyncioDebug`` section of 3.14 and newer.

    Raises:
        Unavailable: the section makes no sense.
    """
    return replace(layout, **debug_offsets.asyncio(section))


def anchored(layout: Layout, *, basicsize: int, dictoffset: int, weaklistoffset: int) -> Layout:
    """The layout corrected by what the type of asyncio's task states of itself.

    Some patch releases moved fields of futures. Up to 3.12 ``__dict__`` and the list of weak
    references lie inside of the structure, between the future's part and the task's: the state
    stands two ints before them, ``fut_waiter``, the coroutine and the name follow them.

    Raises:
        Unavailable: the type contradicts the table in another way.
    """
    if layout.pair >= (3, 13):
        if basicsize != layout.task_size:
            raise Unavailable(f"asyncio's tasks have an unknown layout ({basicsize} bytes)")
        return layout
    shift = dictoffset - (layout.task_state + 16)
    if shift % 8 or weaklistoffset != dictoffset + 8 or basicsize != layout.task_size + shift:
        raise Unavailable(f"asyncio's tasks have an unknown layout ({basicsize} bytes)")
    return replace(
        layout,
        task_size=basicsize,
        task_state=layout.task_state + shift,
        task_waiter=layout.task_waiter + shift,
        task_coroutine=layout.task_coroutine + shift,
        task_name=layout.task_name + shift,
    )


def names() -> frozenset[str]:
    """Every field that a table may set."""
    return frozenset(field.name for field in fields(Layout)) - {"minor"}
