"""The command line: its options, tables, output files and progress; the only part that prints."""
