"""What can be said of a series from values alone: whole or not, facts, rules, reconstructions."""
