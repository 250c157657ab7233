"""What may be wrong with a recording that is read."""
