"""Durable files of received images, and the check that makes a file one."""
