"""Reads the memory of another CPython: never written to, never paused.

From the bottom up, each knowing only what stands before it:

- ``memory``: bytes and words at addresses, and the three ways in which reading ends: Unreadable,
  Torn, Unavailable.
- ``layout_tables``, ``debug_offsets``, ``layouts``: where structures keep their fields.
- ``runtime``: the interpreter in a process, its interpreter and thread states.
- ``type_facts``, ``objects``: types, text, numbers, containers, attributes.
- ``line_tables``, ``frames``, ``callables``: code, coroutines, what a callback would call.
- ``anchors``: the modules of one interpreter, and where asyncio keeps its things.
- ``tasks``, ``timers``, ``event_loops``, ``uvloop``, ``pools``, ``limiters``: one subject each.
- ``snapshots``, ``reader``: all of it, for one loop and for one process. ``Reader`` is the only
  name that others need, beside the ``values`` it gives.
"""
