"""Asking archives: what they hold of a series, and fetching it into the spool."""
