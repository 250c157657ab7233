"""Flamegraphs and other profiles, one file per format."""
