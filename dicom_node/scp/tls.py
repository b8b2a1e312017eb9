"""TLS of the listener, with certificates on both sides."""

import logging
import ssl
from pathlib import Path
from typing import Any

from db.tls_profile import CIPHERS_OF_TLS_1_2
from dicom_node.errors import BadSetting
from dicom_node.own_tls import own_files
from dicom_node.scp.server import AssociationHandler
from dicom_node.settings import NodeSettings

logger = logging.getLogger(__name__)


class DeferredHandshake(ssl.SSLContext):
    """A server's context that leaves the handshake to the connection's own thread.

    pynetdicom does the handshake in the loop that accepts connections, where one silent caller would block all others.
    """

    def wrap_socket(self, *words: Any, **options: Any) -> ssl.SSLSocket:
        """Wrap a connection without a handshake."""
        return super().wrap_socket(*words, **{**options, "do_handshake_on_connect": False})


class SecureRequestHandler(AssociationHandler):
    """Does the TLS handshake within the time allowed for an association request; closes the connection if it fails."""

    def handle(self) -> None:
        """Begin an association over TLS."""
        within_network_timeout = self.request.gettimeout()
        self.request.settimeout(self.ae.acse_timeout)
        try:
            self.request.do_handshake()
        except OSError as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            logger.warning("no TLS handshake", extra={"address": self.client_address[0], "reason": reason})
            self.request.close()
            return
        self.request.settimeout(within_network_timeout)
        super().handle()


def server_context(certificate: Path, key: Path, client_ca: Path) -> DeferredHandshake:
    """Return the context of a listener.

    Parameters
    ----------
    certificate, key
        PEM files of this node.
    client_ca
        PEM file of the authorities whose client certificates are accepted; a caller without one is refused.

    Raises
    ------
    BadSetting
        A file is missing, or does not hold what its setting asks for.
    """
    context = DeferredHandshake(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_OF_TLS_1_2)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(client_ca)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise BadSetting(
            f"the TLS files cannot be used ({reason}): see DICOM_NODE_TLS_CERT, _KEY, _CLIENT_CA"
        ) from error
    return context


def tls_context(settings: NodeSettings) -> DeferredHandshake | None:
    """Return the listener's TLS; None where no certificate is set. Raises BadSetting where only a part is set."""
    files = own_files(settings)
    return None if files is None else server_context(files.certificate, files.key, files.authority)
