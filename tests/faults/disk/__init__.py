"""What happens to where recordings and reports are written."""
