"""The pure half: a recording in, findings out; same input, same output, no process looked at."""
