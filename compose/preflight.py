"""Everything that a site is told by settings and files, checked before any of its parts starts.

A part that finds a slip of the pen only when it runs would be started again for ever.
"""

import os
import socket
from collections.abc import Callable
from pathlib import Path

from compose import logs
from compose import settings as site_settings
from compose.errors import UnusableSetting
from compose.monitor.guard import require_channels, require_guard
from compose.settings import SiteSettings
from compose.status_page import guard as status_page_guard
from db import schema
from db.address import ApplicationEntity
from db.engine import open_engine
from dicom_node import scheduling, site_file
from dicom_node.store import opening
from worker import destinations, identity
from worker.delivery import web_login
from worker.destinations import Destination
from worker.settings import WorkerSettings


def ready(log_format: logs.LogFormat, *checks: Callable[[SiteSettings], None]) -> SiteSettings:
    """Return the settings of a site, once they passed the checks and its tables are at the newest migration."""
    logs.configure(log_format)
    site = site_settings.load()
    for check in (require_usable, *checks):
        check(site)
    engine = open_engine(site.db_url)
    if engine.dialect.name == "sqlite":
        # One machine, one user: nobody to ask. A shared database is migrated by its administrator.
        schema.upgrade(site.db_url)
    schema.require_newest(engine)
    engine.dispose()
    return site


def require_usable(site: SiteSettings) -> None:
    """Read every file that the settings name, as the parts will.

    Raises
    ------
    NodeError
        The site file, the TLS files, the source, the object store or what guards STOW-RS cannot be used.
    PipelineError
        The weights are not those of their model card.
    BadAddress
        A destination of the site file makes no sense, or is called by TLS and no certificate of ours is set.
    UnusableSetting
        A folder cannot be made or written, or a worklist has no archive beside it.
    """
    scheduling.callbacks(site.node, site_file.load(site.node.site_file))
    if site.node.source:
        scheduling.open_source_of(site.node)
    opening.require(site.node)
    if site.node.web_port:
        # The server's libraries would slow down every other command.
        from dicom_node.stow import server  # noqa: PLC0415

        server.require_guard(site.node)
    for one in destinations.of(site.worker):
        _require_callable(one, site.worker)
    if site.has_worklist:
        # As with the server above.
        from compose import performing  # noqa: PLC0415

        performing.require_usable(site)
    require_guard(site.monitor)
    require_channels(site.monitor)
    status_page_guard.require_guard(site.status_page)
    identity.current(site.worker)
    _require_folder("DICOM_NODE_SPOOL_DIR", site.node.spool_dir)
    _require_folder("WORKER_RESULTS_DIR", site.worker.results_dir)


def require_free_ports(site: SiteSettings) -> None:
    """Raise UnusableSetting where the address is not of this machine, or another program listens on a port.

    Only for who starts all parts: later their own listener has the port.
    """
    host = site_file.host(site.node, site_file.load(site.node.site_file))
    for name, port in (("DICOM_NODE_PORT", site.node.port), ("DICOM_NODE_WEB_PORT", site.node.web_port)):
        if port is not None:
            _require_free(f"DICOM_NODE_HOST={host}", host, name, port)
    if site.monitor.port:
        _require_free(f"MONITOR_HOST={site.monitor.host}", site.monitor.host, "MONITOR_PORT", site.monitor.port)
    if site.has_status_page:
        host, port = site.status_page.host, site.status_page.port
        _require_free(f"STATUS_PAGE_HOST={host}", host, "STATUS_PAGE_PORT", port)


def _require_callable(destination: Destination, settings: WorkerSettings) -> None:
    if not destination.is_dicom:
        web_login.require_readable(destination)
        return
    peer = ApplicationEntity.parse_url(destination.url).called_with(destination.tls_files(settings))
    try:
        peer.tls_arguments()
    except OSError as error:
        own = "tls_cert, tls_key and tls_ca, or WORKER_TLS_CERT, _KEY and _CA,"
        raise UnusableSetting(f"{destination.url}: {own} cannot be used together: {error.strerror}") from error


def _require_folder(name: str, folder: Path) -> None:
    nearest = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise UnusableSetting(f"{name}={folder} is no folder that can be made and written: see {nearest}")


def _require_free(named: str, host: str, name: str, port: int) -> None:
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, *_, address in addresses:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        raise UnusableSetting(f"{named} with {name}={port}: {error.strerror}") from error
