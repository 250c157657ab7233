"""What happens to waitspy itself."""
