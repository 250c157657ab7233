"""Reads the memory of another CPython: never written to, never paused."""
