"""What an interpreter says of its own structures: ``_Py_DebugOffsets`` and ``.AsyncioDebug``.

CPython 3.13 and newer put a table of offsets at the start of ``_PyRuntime``
(Include/internal/pycore_debug_offsets.h; in 3.13 pycore_runtime.h), 3.14 and newer one for
asyncio into a section of its own (Modules/_asynciomodule.c). Both are arrays of 64-bit words
whose order is fixed from a version's first release on.
"""

from __future__ import annotations

import struct

from waitspy.remote.memory import Unavailable

COOKIE = b"xdebugpy"
SIZE = 1024
"""Bytes to read at ``_PyRuntime``: more than what is used of any version."""

_ORDER = {
    (3, 13): """
        runtime: size finalizing interpreters_head
        interp: size id next threads_head gc modules sysdict builtins ceval_gil gil gil_enabled
            gil_locked gil_holder
        thread: size prev next interp current_frame thread_id native_thread_id chunk status
        frame: size previous executable instr_ptr localsplus owner
        code: size filename name qualname linetable firstlineno argcount names kinds bytecode
        object: size type
        type: size name repr flags
        """,
    (3, 14): """
        runtime: size finalizing interpreters_head
        interp: size id next threads_head threads_main gc modules sysdict builtins ceval_gil gil
            gil_enabled gil_locked gil_holder code_generation tlbc_generation
        thread: size prev next interp current_frame thread_id native_thread_id chunk status
        frame: size previous executable instr_ptr localsplus owner stackpointer tlbc_index
        code: size filename name qualname linetable firstlineno argcount names kinds bytecode tlbc
        object: size type
        type: size name repr flags
        """,
    (3, 15): """
        runtime: size finalizing interpreters_head
        interp: size id next threads_head threads_main gc modules sysdict builtins ceval_gil gil
            gil_enabled gil_locked gil_holder code_generation tlbc_generation
        thread: size prev next interp current_frame base_frame last_profiled last_profiled_seq
            thread_id native_thread_id chunk status holds_gil gil_requested exception exc_state
        exc_item: value
        frame: size previous executable instr_ptr localsplus owner stackpointer tlbc_index
        code: size filename name qualname linetable firstlineno argcount names kinds bytecode tlbc
        object: size type
        type: size name repr flags basicsize dictoffset
        heap_type: size cached_keys
        """,
}
"""Groups with their fields, in order; what follows is not used. Before: cookie, version, flag."""

_USED = {
    "runtime_interpreters": "runtime.interpreters_head",
    "interp_id": "interp.id",
    "interp_gc": "interp.gc",
    "interp_gil": "interp.ceval_gil",
    "interp_next": "interp.next",
    "interp_threads": "interp.threads_head",
    "interp_modules": "interp.modules",
    "thread_next": "thread.next",
    "thread_ident": "thread.thread_id",
    "thread_native_id": "thread.native_thread_id",
    "thread_chunk": "thread.chunk",
    "thread_frame": "thread.current_frame",
    "frame_back": "frame.previous",
    "frame_owner": "frame.owner",
    "frame_code": "frame.executable",
    "frame_instruction": "frame.instr_ptr",
    "frame_locals": "frame.localsplus",
    "frame_stack_top": "frame.stackpointer",
    "code_file": "code.filename",
    "code_name": "code.name",
    "code_qualname": "code.qualname",
    "code_lines": "code.linetable",
    "code_first_line": "code.firstlineno",
    "code_bytecode": "code.bytecode",
    "object_size": "object.size",
    "ob_type": "object.type",
    "type_name": "type.name",
    "type_flags": "type.flags",
    "type_basicsize": "type.basicsize",
    "type_dictoffset": "type.dictoffset",
    "type_cached_keys": "heap_type.cached_keys",
}

_LARGEST = 1 << 24

ASYNCIO_WORDS = 13
"""Words of ``.AsyncioDebug``."""


def interpreter(head: bytes, pair: tuple[int, int]) -> dict[str, int]:
    """The offsets that the interpreter publishes, by the names of the layout table.

    ``head`` is what stands at ``_PyRuntime``.

    Raises:
        Unavailable: it is not the table of a release of that version.
    """
    order = _ORDER.get(pair)
    if order is None or head[:8] != COOKIE:
        raise Unavailable("the interpreter does not publish its offsets")
    words = struct.unpack_from(f"<{len(head) // 8}Q", head)
    packed, free_threaded = words[1], words[2]
    if (packed >> 24 & 0xFF, packed >> 16 & 0xFF) != pair:
        raise Unavailable("the interpreter's offsets are those of another version")
    if free_threaded:
        raise Unavailable("free-threaded builds cannot be read")
    said: dict[str, int] = {}
    group, at = "", 3
    for word in order.split():
        if word.endswith(":"):
            group = word.removesuffix(":")
        else:
            said[f"{group}.{word}"] = words[at]
            at += 1
    if said["object.size"] != 16 or any(value > _LARGEST for value in said.values()):
        raise Unavailable("the interpreter's offsets are not those of a release")
    return {name: said[path] for name, path in _USED.items() if path in said}


def asyncio(section: bytes) -> dict[str, int]:
    """The offsets of asyncio's task and of its fields in thread and interpreter states.

    Raises:
        Unavailable: the section is not the one of 3.14 or 3.15.
    """
    if len(section) != 8 * ASYNCIO_WORDS:
        raise Unavailable("asyncio's own table of offsets has an unknown shape")
    words = struct.unpack(f"<{ASYNCIO_WORDS}Q", section)
    # task: size name awaited_by is_task awaited_by_is_set coro node; interpreter: size tasks;
    # thread: size running_loop running_task tasks
    size, name, _, is_task, _, coroutine, node, _, interp_tasks, _, loop, running, tasks = words
    said = {
        "task_size": size,
        "task_name": name,
        "task_coroutine": coroutine,
        "task_node": node,
        # neither is published: the state is the int before is_task, the waiter the pointer
        # before the coroutine
        "task_state": is_task - 4,
        "task_waiter": coroutine - 8,
        "interp_tasks": interp_tasks,
        "thread_running_loop": loop,
        "thread_running_task": running,
        "thread_tasks": tasks,
    }
    inside = ("task_name", "task_coroutine", "task_node", "task_state", "task_waiter")
    if (
        not 64 <= size <= 1024
        or any(not 16 <= said[field] < size or said[field] % 4 for field in inside)
        or any(not 0 < said[field] < _LARGEST for field in said)
    ):
        raise Unavailable("asyncio's own table of offsets makes no sense")
    return said
