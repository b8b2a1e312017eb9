"""Fetches a study or series from an archive into the spool, by WADO-RS, C-GET or C-MOVE."""

from dicom_node.errors import BadSetting
from dicom_node.retrieve.dimse import DimseArchive
from dicom_node.retrieve.request import Retrieved, RetrieveRequest
from dicom_node.retrieve.source import application_entity
from dicom_node.retrieve.web import WebArchive
from dicom_node.settings import NodeSettings
from dicom_node.spool.associations import OpenSeries
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import check_uid


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


def _archive(url: str, spool: Spool, settings: NodeSettings) -> DimseArchive | WebArchive:
    if url.startswith(("http://", "https://")):
        token = settings.source_token.get_secret_value() if settings.source_token else None
        return WebArchive(url.rstrip("/"), token, spool, settings)
    if url.startswith("dicom://"):
        return DimseArchive(application_entity(url), spool, settings.ae_title)
    raise BadSetting(f"{url} is no source: write dicom://AET@host:port or the URL of a DICOMweb service")
