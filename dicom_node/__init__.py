"""Images in: listener, spool, registrar, completeness, hand-over to the queue."""
