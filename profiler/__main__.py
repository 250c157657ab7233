"""Runs the command line: ``python -m profiler``."""

from __future__ import annotations

from profiler.cli import main

main()
