"""Fetches a study or series from an archive into the spool, by WADO-RS, C-GET or C-MOVE."""

from urllib.parse import urlsplit

from db.address import SCHEME, SECURE_SCHEME
from dicom_node.errors import BadSetting
from dicom_node.own_tls import own_files
from dicom_node.retrieve.dimse import DimseArchive
from dicom_node.retrieve.request import Retrieved, RetrieveRequest
from dicom_node.retrieve.source import application_entity
from dicom_node.retrieve.web import WebArchive
from dicom_node.settings import NodeSettings
from dicom_node.spool.associations import OpenSeries
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import check_uid

DEFAULT_PORTS = {"http": 80, "https": 443}


def run(settings: NodeSettings, request: RetrieveRequest, source: str | None = None) -> Retrieved:
    """Fetch what the request names from ``source``, or from DICOM_NODE_SOURCE where none is given.

    Raises
    ------
    BadSetting
        There is no source, or its address is malformed.
    UnreadableInstance
        A UID of the request is malformed.
    PeerAway
        The archive does not answer, or refuses.
    PullIncomplete
        The archive sent fewer images than it holds, or some of them were refused here.
    """
    url = source or settings.source
    if url is None:
        raise BadSetting("there is nowhere to pull from: set DICOM_NODE_SOURCE, or give --from")
    for uid in (request.study_uid, request.series_uid):
        if uid is not None:
            check_uid(uid)
    spool = Spool(settings.spool_dir, settings.min_free_mb)
    spool.prepare()
    retrieved = _archive(url, spool, settings).fetch(request)
    OpenSeries(spool.associations).mend_all(retrieved.series)
    return retrieved


def _token_for(url: str, settings: NodeSettings) -> str | None:
    """Return the source's token for the source alone: any other archive would learn it."""
    if settings.source_token is None or settings.source is None or _origin(url) != _origin(settings.source):
        return None
    return settings.source_token.get_secret_value()


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return the origin of a URL (RFC 6454): its scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)


def _archive(url: str, spool: Spool, settings: NodeSettings) -> DimseArchive | WebArchive:
    if url.startswith(("http://", "https://")):
        return WebArchive(url.rstrip("/"), _token_for(url, settings), spool, settings)
    if url.startswith((SCHEME, SECURE_SCHEME)):
        return DimseArchive(application_entity(url, own_files(settings)), spool, settings.ae_title)
    raise BadSetting(f"{url} is no source: write dicom://AET@host:port or the URL of a DICOMweb service")
