"""The recording folder: written while it happens, and read into values."""
