"""Serves the status page until it is told to stop."""

import asyncio
import logging
import ssl
from threading import Event

import uvicorn

from compose.errors import UnusableSetting
from compose.settings import SiteSettings
from compose.status_page.app import application
from compose.status_page.guard import require_guard
from db.tls_profile import CIPHERS_OF_TLS_1_2
from dicom_node.stow.connections import CountingListener, DeadlineProtocol
from dicom_node.stow.server import serve

logger = logging.getLogger(__name__)
REQUEST_TIMEOUT_S = 30
PLACES_OF_AN_ADDRESS = 64
REQUESTS_AT_ONCE = 200


def run(site: SiteSettings, stop: Event) -> None:
    """Serve until ``stop`` is set. Raises UnusableSetting where passwords would cross the network in the clear."""
    own = site.status_page
    require_guard(own)
    config = uvicorn.Config(
        application(site),
        http=DeadlineProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=REQUEST_TIMEOUT_S,
        limit_concurrency=REQUESTS_AT_ONCE,
        ssl_certfile=own.tls_cert,
        ssl_keyfile=own.tls_key,
        ssl_ciphers=CIPHERS_OF_TLS_1_2,
    )
    try:
        config.load()
    except OSError as error:
        raise UnusableSetting("STATUS_PAGE_TLS_CERT and STATUS_PAGE_TLS_KEY cannot be used together") from error
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    with CountingListener(own.host, own.port, PLACES_OF_AN_ADDRESS) as listener:
        logger.info("status page", extra={"host": own.host, "port": listener.getsockname()[1]})
        asyncio.run(serve(uvicorn.Server(config), listener, stop))
