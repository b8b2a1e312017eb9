"""Sends files to a destination and returns a receipt for each."""
