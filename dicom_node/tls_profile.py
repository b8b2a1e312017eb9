"""The BCP 195 secure connection profile (PS3.15 B.9), for listener, STOW-RS and calls to peers."""

import ssl
from pathlib import Path

# BCP 195 (RFC 9325): TLS 1.2 with forward secrecy and authenticated encryption only, or TLS 1.3.
CIPHERS_OF_TLS_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"


def client_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return the context for calling a peer whose certificate is signed by ``authority``; ours is shown to it."""
    context = ssl.create_default_context(cafile=str(authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_OF_TLS_1_2)
    context.load_cert_chain(certificate, key)
    return context
