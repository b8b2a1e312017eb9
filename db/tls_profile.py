"""The BCP 195 secure connection profile (PS3.15 B.9), for listener, STOW-RS and calls to peers."""

import ssl
from dataclasses import dataclass
from pathlib import Path

# BCP 195 (RFC 9325): TLS 1.2 with forward secrecy and authenticated encryption only, or TLS 1.3.
CIPHERS_OF_TLS_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: our certificate, its key, and the authorities that the other side's certificate is signed by."""

    certificate: Path
    key: Path
    authority: Path


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context for calling a peer, to which our certificate is shown. Raises OSError for a wrong file."""
    return web_context(files.authority, files.certificate, files.key)


def web_context(authority: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Return the context for calling a web service: without an authority those of the system, without ours none shown.

    Raises OSError for a wrong file.
    """
    context = ssl.create_default_context(cafile=str(authority) if authority else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_OF_TLS_1_2)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
