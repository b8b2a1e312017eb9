"""Receiving by STOW-RS."""
