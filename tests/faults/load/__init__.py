"""What is too much: workers, threads, timers, time."""
