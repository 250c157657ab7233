"""What waitspy and the target may do, and what they may not."""
