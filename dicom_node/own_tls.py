"""The TLS files of this node: all of them or none, for whatever listens or calls."""

from db.tls_profile import TlsFiles
from dicom_node.errors import BadSetting
from dicom_node.settings import NodeSettings


def own_files(settings: NodeSettings) -> TlsFiles | None:
    """Return the files; None where no setting names one.

    Raises
    ------
    BadSetting
        Only a part of them is set: what asks for TLS and cannot have it must never be served in the clear.
    """
    found = (settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    if not any(found):
        return None
    certificate, key, authority = found
    if certificate is None or key is None or authority is None:
        raise BadSetting("TLS needs all three: DICOM_NODE_TLS_CERT, DICOM_NODE_TLS_KEY and DICOM_NODE_TLS_CLIENT_CA")
    return TlsFiles(certificate, key, authority)
