"""What happens to py-spy, which reads the stacks."""
