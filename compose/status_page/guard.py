"""Keeps passwords and patients from whoever listens on the network."""

import os

from compose.errors import UnusableSetting
from compose.status_page.settings import StatusPageSettings
from dicom_node import site_file


def require_guard(settings: StatusPageSettings) -> None:
    """Raise UnusableSetting where passwords would cross the network in the clear, or a TLS file cannot be read."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise UnusableSetting("TLS needs both: STATUS_PAGE_TLS_CERT and STATUS_PAGE_TLS_KEY")
    for name, path in (("CERT", settings.tls_cert), ("KEY", settings.tls_key)):
        if path is not None and not os.access(path, os.R_OK):
            raise UnusableSetting(f"STATUS_PAGE_TLS_{name}={path} cannot be read")
    if settings.port and not settings.is_secure and not site_file.is_loopback(settings.host):
        raise UnusableSetting(
            f"STATUS_PAGE_HOST={settings.host} is reached from other machines: set STATUS_PAGE_TLS_CERT and _KEY, or "
            "STATUS_PAGE_BEHIND_PROXY=true where a reverse proxy speaks HTTPS, or STATUS_PAGE_HOST=127.0.0.1"
        )
