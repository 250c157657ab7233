"""What processes, threads and files may be called."""
