"""What happens to the processes that are watched."""
