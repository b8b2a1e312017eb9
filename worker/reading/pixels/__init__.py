"""Stored pixels of a slice, checked, decoded and turned into Hounsfield units."""
