"""Putting the parts together: on one machine from Python, on many from containers."""
