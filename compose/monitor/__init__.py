"""Shows how a site does: its health and its numbers, by HTTP, from rows and spool."""
