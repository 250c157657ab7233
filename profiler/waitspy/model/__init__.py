"""The frozen values that the stages hand to each other: the vocabulary of the whole project.

Times with ``_ns`` are CLOCK_MONOTONIC nanoseconds of the recorded machine, those with ``_s`` are
seconds. ``None`` means unknown and is left out of every file that is written; it is never zero.
Text that came from a target is kept as it was read, except that it is always valid Unicode;
whoever renders it escapes it.
"""
