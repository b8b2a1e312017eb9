"""Reads the files of one series to a CT volume in Hounsfield units, or refuses them with a code."""
