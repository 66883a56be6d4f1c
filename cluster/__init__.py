"""Where a search runs, what is kept of it, and what people see."""
