"""The BCP 195 secure connection profile (PS3.15 B.9), for whoever speaks TLS here."""

import ssl
from pathlib import Path

# BCP 195 (RFC 9325): TLS 1.2 with forward secrecy and authenticated encryption only, or TLS 1.3.
CIPHERS_OF_TLS_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"


def client_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return the context for calling a peer whose certificate is of ``authority``; it is shown ours."""
    context = ssl.create_default_context(cafile=str(authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_OF_TLS_1_2)
    context.load_cert_chain(certificate, key)
    return context
