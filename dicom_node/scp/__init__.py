"""Receiving by C-STORE: the upper layer, associations, access control, TLS and the handlers."""
