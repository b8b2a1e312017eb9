"""Received images as durable files, and the checks that an image has to pass to become one."""
