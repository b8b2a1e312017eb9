"""C-STORE and C-ECHO events → status."""

import logging
from io import BytesIO
from threading import Lock
from typing import cast

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicom_node.errors import UNPARSEABLE, ReceiveError, UnreadableInstance, WrongSOPClass
from dicom_node.spool import Spool, SpooledName, check_uid

logger = logging.getLogger(__name__)
SUCCESS = 0x0000
PREAMBLE = b"\0" * 128 + b"DICM"
META_GROUP = b"\x02\x00"
IDENTITY = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


class OpenSeries:
    """Which series have come over associations that are still open. Shared between the network's threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_association: dict[int, set[str]] = {}

    def opened(self, association: int) -> None:
        """Note a new association."""
        with self._lock:
            self._by_association[association] = set()

    def carried(self, association: int, series_uid: str) -> None:
        """Note that an association carries a series.

        A sender may hang up while its last image is still being written: an association that ended holds nothing back.
        """
        with self._lock:
            if association in self._by_association:
                self._by_association[association].add(series_uid)

    def ended(self, association: int) -> None:
        """Forget an association."""
        with self._lock:
            self._by_association.pop(association, None)

    def __contains__(self, series_uid: str) -> bool:
        with self._lock:
            return any(series_uid in carried for carried in self._by_association.values())


class Receiver:
    """Answers the events of one listener."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.open_series = OpenSeries()

    def handlers(self) -> list[tuple[object, object]]:
        """Return the pairs (event, handler) as pynetdicom wants them."""
        return [
            (evt.EVT_C_ECHO, self.echo),
            (evt.EVT_C_STORE, self.store),
            (evt.EVT_CONN_OPEN, self.connected),
            (evt.EVT_CONN_CLOSE, self.closed),
        ]

    def echo(self, _event: evt.Event) -> int:
        """Answer a verification."""
        return SUCCESS

    def store(self, event: evt.Event) -> int:
        """Keep one image and answer 0x0000 once it is durable."""
        try:
            self._keep(event)
        except ReceiveError as error:
            logger.warning(
                "image refused",
                extra={"status": f"0x{error.status:04X}", "reason": str(error), "assoc_id": id(event.assoc)},
            )
            return error.status
        except Exception:
            logger.exception("image refused, unexpected failure", extra={"assoc_id": id(event.assoc)})
            return UnreadableInstance.status
        return SUCCESS

    def connected(self, event: evt.Event) -> None:
        """Note that a sender has connected."""
        self.open_series.opened(id(event.assoc))

    def closed(self, event: evt.Event) -> None:
        """Note that an association's connection is gone, however it ended."""
        self.open_series.ended(id(event.assoc))

    def _keep(self, event: evt.Event) -> None:
        request = cast(C_STORE, event.request)
        dataset = cast(BytesIO, request.DataSet).getvalue()
        header = _file_meta(event, request)
        identity = _identity(header, dataset)
        if identity.SOPClassUID != request.AffectedSOPClassUID:
            raise WrongSOPClass("the data set is of another SOP class than the C-STORE request")
        if request.AffectedSOPClassUID != event.context.abstract_syntax:
            raise WrongSOPClass("the C-STORE request is of another SOP class than its presentation context")
        if identity.SOPInstanceUID != request.AffectedSOPInstanceUID:
            raise UnreadableInstance("the data set has another SOP Instance UID than the C-STORE request")
        for keyword in IDENTITY[2:]:
            check_uid(str(identity[keyword].value or ""))
        name = SpooledName.of(str(identity.SOPInstanceUID), dataset)
        # Before the file can be seen by the registrar, or the series might be judged without this association.
        self.open_series.carried(id(event.assoc), str(identity.SeriesInstanceUID))
        self._spool.keep(name, header, dataset)


def _file_meta(event: evt.Event, request: C_STORE) -> bytes:
    """Return preamble and file meta group, with both AE titles in it: the spool alone can rebuild the rows."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(request.AffectedSOPClassUID or "")
    meta.MediaStorageSOPInstanceUID = UID(request.AffectedSOPInstanceUID or "")
    meta.TransferSyntaxUID = event.context.transfer_syntax
    meta.SendingApplicationEntityTitle = event.assoc.requestor.ae_title
    meta.ReceivingApplicationEntityTitle = cast(A_ASSOCIATE, event.assoc.requestor.primitive).called_ae_title
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return PREAMBLE + buffer.getvalue()


def _identity(header: bytes, dataset: bytes) -> Dataset:
    """Parse the UIDs, never the pixels. Raises UnreadableInstance where one is absent."""
    if dataset[:2] == META_GROUP:
        # PS3.5 7.1: no data set has group 0002. In our file its elements would pass for our own meta group.
        raise UnreadableInstance("the data set begins with elements of the file meta group")
    try:
        found = dcmread(BytesIO(header + dataset), stop_before_pixels=True, specific_tags=list(IDENTITY))
    except UNPARSEABLE as error:
        raise UnreadableInstance(f"the data set cannot be parsed ({type(error).__name__})") from error
    missing = [keyword for keyword in IDENTITY if keyword not in found]
    if missing:
        raise UnreadableInstance(f"the data set lacks {', '.join(missing)}")
    return found
