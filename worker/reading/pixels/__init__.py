"""Checks and decodes the stored pixels of slices, and turns them into Hounsfield units."""
