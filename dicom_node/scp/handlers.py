"""The listener's event handlers: C-ECHO is answered, and each image of a C-STORE is received into the spool."""

import logging
from typing import Any, cast

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_RELEASE

from db.states import ASSOCIATION_BROKEN_OFF
from dicom_node.errors import OutOfSpace, ReceiveError, UnreadableInstance, WrongSOPClass
from dicom_node.scp.commands import StoreRequest
from dicom_node.scp.upper_layer import EVT_ENDED, EVT_STORE, UpperLayer
from dicom_node.spool import file_meta, part10
from dicom_node.spool.associations import OpenSeries
from dicom_node.spool.folder import Spool
from dicom_node.spool.incoming import PIECE
from dicom_node.spool.peers import Peers

logger = logging.getLogger(__name__)
SUCCESS = 0x0000
# The code under which a refusal is counted that nobody foresaw; the log has its trace.
UNEXPECTED = "unexpected_error"
# PS3.8 9.3.4: transient, by the presentation-related part of the provider.
CONGESTED, LOCAL_LIMIT_EXCEEDED = (0x02, 0x03, 0x01), (0x02, 0x03, 0x02)


class Receiver:
    """Answers the events of one listener.

    Parameters
    ----------
    spool
        Where images go.
    max_associations
        How many may be open at one time, over all listeners on this spool.
    max_of_a_peer
        How many of them may come from one address.
    """

    def __init__(self, spool: Spool, max_associations: int = 32, max_of_a_peer: int = 32) -> None:
        self._spool = spool
        self._peers = Peers(spool.associations / "peers", max_of_a_peer)
        self.open_series = OpenSeries(spool.associations, max_associations)
        self._buffers: dict[int, bytearray] = {}

    def handlers(self) -> list[tuple[Any, Any]]:
        """Return the pairs (event, handler) as pynetdicom wants them."""
        return [
            (evt.EVT_REQUESTED, self.requested),
            (evt.EVT_C_ECHO, self.echo),
            (EVT_STORE, self.store),
            (evt.EVT_ACSE_RECV, self.released),
            (EVT_ENDED, self.closed),
        ]

    def requested(self, event: evt.Event) -> None:
        """Reject an association for which there is no disk space or no free slot."""
        if event.assoc.is_rejected:
            return
        try:
            self._spool.check_room_for_more()
            has_slot = self._has_slot(event)
        except (OutOfSpace, OSError) as error:
            logger.warning("association rejected, the spool takes no more", extra={"reason": str(error)})
            _reject(event, CONGESTED)
            self.closed(event)
            return
        if not has_slot:
            _reject(event, LOCAL_LIMIT_EXCEEDED)
            self.closed(event)
        elif cast(UpperLayer, event.assoc.dul).has_ended:
            self.closed(event)

    def _has_slot(self, event: evt.Event) -> bool:
        association, address = id(event.assoc), str(event.assoc.requestor.address)
        if not self._peers.opened(association, address):
            facts = {"address": address}
            logger.warning("association rejected, its address has as many open as are allowed", extra=facts)
            return False
        if not self.open_series.opened(association):
            logger.warning("association rejected, as many are open as are allowed")
            return False
        return True

    def echo(self, _event: evt.Event) -> int:
        """Answer a verification."""
        return SUCCESS

    def store(self, event: evt.Event) -> "ImageReception":
        """Return the reception that takes the bytes of the image that now begins."""
        association = id(event.assoc)
        if association not in self._buffers:
            self._buffers[association] = bytearray(PIECE)
        return ImageReception(event, self._spool, self.open_series, self._buffers[association])

    def released(self, event: evt.Event) -> None:
        """Note an A-RELEASE before it is answered, so that the note survives a crash after the answer."""
        if isinstance(cast(Any, event).primitive, A_RELEASE):
            self.open_series.ended(id(event.assoc), released=True)

    def closed(self, event: evt.Event) -> None:
        """Note that an association has ended; without a release before, its series count as broken off."""
        self._buffers.pop(id(event.assoc), None)
        self._peers.ended(id(event.assoc))
        carried = self.open_series.ended(id(event.assoc), released=False)
        _tell_of_break(event.assoc.requestor.ae_title, carried)


class ImageReception:
    """Receives one image into the spool; a :class:`dicom_node.scp.upper_layer.Reception`."""

    def __init__(self, event: evt.Event, spool: Spool, open_series: OpenSeries, buffer: bytearray) -> None:
        self._request = cast(StoreRequest, event.request)
        self._context = event.context
        self._association = id(event.assoc)
        self._spool = spool
        self._open_series = open_series
        self._incoming = spool.begin(_file_meta(event, self._request), buffer)
        self.room, self.received, self.discard = (
            self._incoming.room,
            self._incoming.received,
            self._incoming.discard,
        )

    def finish(self) -> int:
        """Keep the image and return 0x0000 once it is durable."""
        try:
            self._keep()
        except (ReceiveError, OSError) as error:
            self.discard()
            why = error if isinstance(error, ReceiveError) else OutOfSpace(str(error))
            self._spool.refusals.note(why.code)
            logger.warning(
                "image refused",
                extra={"status": f"0x{why.status:04X}", "reason": str(error), "assoc_id": self._association},
            )
            return why.status
        except Exception:
            self.discard()
            self._spool.refusals.note(UNEXPECTED)
            logger.exception("image refused, unexpected failure", extra={"assoc_id": self._association})
            return UnreadableInstance.status
        return SUCCESS

    def _keep(self) -> None:
        self._spool.complete(self._incoming)
        identity = part10.identity_of(self._incoming, UID(self._context.transfer_syntax))
        identity.require_as_declared(self._request.sop_class, self._request.sop_uid)
        identity.require_ct()
        if self._request.sop_class != self._context.abstract_syntax:
            raise WrongSOPClass("the C-STORE request is of another SOP class than its presentation context")
        # First the association, then the file: otherwise the scheduler could see the image, and judge its series,
        # without knowing that this association is still open.
        self._open_series.carried(self._association, identity.series_uid)
        self._spool.keep_incoming(self._incoming, identity.sop_uid)


def _tell_of_break(calling_ae: str, carried: dict[str, int]) -> None:
    for series_uid, images in carried.items():
        facts = {"code": ASSOCIATION_BROKEN_OFF, "calling_ae": calling_ae, "series_uid": series_uid, "images": images}
        logger.warning("association broke off", extra=facts)


def _reject(event: evt.Event, reason: tuple[int, int, int]) -> None:
    event.assoc.acse.send_reject(*reason)
    # Returns once the rejection is sent and the peer has closed.
    event.assoc.kill()


def _file_meta(event: evt.Event, request: StoreRequest) -> bytes:
    called = cast(A_ASSOCIATE, event.assoc.requestor.primitive).called_ae_title
    return file_meta.write(
        request.sop_class, request.sop_uid, event.context.transfer_syntax, event.assoc.requestor.ae_title, called or ""
    )
