"""The commands, one file a command or two; with cli.py the only part that composes and prints."""
