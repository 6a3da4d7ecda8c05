"""The families of pretext tasks."""
