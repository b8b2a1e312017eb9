"""Takes images in: listener, spool, scheduler, and the wake-up of the workers."""
