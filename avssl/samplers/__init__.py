"""When to cut: pure functions from what a file holds to a plan."""
