"""Speeds, each beside a peer in the same run. Never part of the tests: machines are noisy."""
