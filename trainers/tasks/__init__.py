"""What a candidate is tried on, a task a file."""
