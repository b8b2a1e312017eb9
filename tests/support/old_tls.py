"""Handshakes as callers of before BCP 195 make them."""

import socket
import ssl
import warnings

from db.tls_profile import TlsFiles, client_context

TLS_1_2 = ssl.TLSVersion.TLSv1_2
# What each offers: one version, and ciphers; @SECLEVEL=0 lets the library offer them at all.
OLD_TLS: dict[str, tuple[ssl.TLSVersion, str]] = {
    "TLS 1.0": (ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"),
    "TLS 1.1": (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
    "no encryption": (ssl.TLSVersion.TLSv1_2, "NULL:@SECLEVEL=0"),
    "no certificates": (ssl.TLSVersion.TLSv1_2, "aNULL:@SECLEVEL=0"),
    "CBC": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256"),
    "no forward secrecy": (ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256:AES256-GCM-SHA384"),
}
# How our own side says that it cannot even offer it, which would be no refusal.
OURS = {"NO_CIPHERS_AVAILABLE", "NO_PROTOCOLS_AVAILABLE"}


def spoken(port: int, files: TlsFiles, version: ssl.TLSVersion, ciphers: str) -> str | None:
    """Return the version that a handshake with a right certificate agrees on; None where the other side refuses."""
    context = client_context(files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                return connection.version()
        except OSError as refused:
            if getattr(refused, "reason", "") in OURS:
                raise
            return None
