"""The listener: a DICOM application entity that takes images into a spool."""

import logging
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any, cast

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicom_node.scp.access_control import CALLED_NOT_RECOGNIZED, CALLING_NOT_RECOGNIZED, AccessControl, Rejection
from dicom_node.scp.limits import Limits
from dicom_node.scp.server import AssociationHandler, Server
from dicom_node.scp.tls import DeferredHandshake, SecureRequestHandler
from dicom_node.scp.upper_layer import EVT_ENDED, UpperLayer
from dicom_node.spool.notices import Notices

VERIFICATION = "1.2.840.10008.1.1"
# PS3.8 9.3.4: transient, by the presentation-related part of the provider, local limit exceeded.
LOCAL_LIMIT_EXCEEDED = (0x02, 0x03, 0x02)
WHY = {
    CALLING_NOT_RECOGNIZED: "calling AE {calling_ae} at {address} is no peer",
    CALLED_NOT_RECOGNIZED: "called AE {called_ae} is not ours",
    LOCAL_LIMIT_EXCEEDED: "as many associations are open as may be",
}
BACKLOG = 128
GRACE_S = 5.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Address:
    """The AE title, host and port of a listener, and its limits. Port 0 takes a free port."""

    ae_title: str
    host: str
    port: int
    max_associations: int = 32
    max_pdu_bytes: int = 131072
    network_timeout_s: float = 120.0
    request_timeout_s: float = 10.0
    max_instance_bytes: int = 4_096_000_000
    min_bytes_per_s: int = 500

    @property
    def limits(self) -> Limits:
        """What one association may send at most."""
        return Limits(self.max_pdu_bytes, self.max_instance_bytes, self.min_bytes_per_s)


@dataclass(frozen=True)
class Security:
    """Access control and TLS of a listener; without access control every caller is let in, without TLS unencrypted.

    Of callers that the access control refuses ``notices`` are kept.
    """

    access_control: AccessControl | None = None
    tls: DeferredHandshake | None = None
    notices: Notices | None = None


OPEN = Security()


class Admission:
    """Lets in the callers that the access control permits, and at most ``max_associations`` at one time.

    Only connections that asked for an association are counted. pynetdicom counts every connection, so that health
    checks and port scans, which never ask for one, could keep senders out.
    """

    def __init__(
        self, max_associations: int, access_control: AccessControl | None = None, notices: Notices | None = None
    ) -> None:
        self._max_associations = max_associations
        self._notices = notices
        self._access_control = access_control
        self._lock = Lock()
        self._admitted: set[int] = set()

    def handlers(self) -> list[tuple[Any, Any]]:
        """Return the pairs (event, handler) as pynetdicom wants them."""
        return [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_ACCEPTED, _tell_accepted),
            (EVT_ENDED, self._closed),
        ]

    def _requested(self, event: evt.Event) -> None:
        asked, address = cast(A_ASSOCIATE, event.assoc.requestor.primitive), str(event.assoc.requestor.address)
        rejection = self._rejection(id(event.assoc), asked, address)
        if rejection is not None:
            caller = {"calling_ae": asked.calling_ae_title, "address": address}
            why = WHY[rejection].format(called_ae=asked.called_ae_title, **caller)
            logger.warning("association rejected", extra={**caller, "why": why})
            if self._notices is not None and rejection != LOCAL_LIMIT_EXCEEDED:
                self._notices.refused("listener", {key: str(value) for key, value in caller.items()} | {"why": why})
            event.assoc.acse.send_reject(*rejection)
            # Returns once the rejection is sent and the peer has closed.
            event.assoc.kill()
        elif cast(UpperLayer, event.assoc.dul).has_ended:
            self._forget(event)

    def _rejection(self, association: int, asked: A_ASSOCIATE, address: str) -> Rejection | None:
        calling_ae, called_ae = str(asked.calling_ae_title), str(asked.called_ae_title)
        refused = self._access_control.judge(calling_ae, called_ae, address) if self._access_control else None
        if refused:
            return refused
        with self._lock:
            if len(self._admitted) >= self._max_associations:
                return LOCAL_LIMIT_EXCEEDED
            self._admitted.add(association)
        return None

    def _forget(self, event: evt.Event) -> None:
        with self._lock:
            self._admitted.discard(id(event.assoc))

    def _closed(self, event: evt.Event) -> None:
        self._forget(event)
        if event.assoc.requestor.primitive is None:
            # No A-ASSOCIATE-RQ arrived; None releases the thread that waits for it.
            event.assoc.dul.to_user_queue.put(None)


def _tell_accepted(event: evt.Event) -> None:
    asked, address = cast(A_ASSOCIATE, event.assoc.requestor.primitive), str(event.assoc.requestor.address)
    logger.info("association accepted", extra={"calling_ae": asked.calling_ae_title, "address": address})


class Listener:
    """A listener that binds its port at once; as a context manager it accepts connections inside the block.

    Parameters
    ----------
    address
        Where to listen.
    handlers
        Pairs (event, handler).
    sop_classes
        The classes accepted, in every transfer syntax.
    security
        Access control and TLS.
    """

    def __init__(
        self,
        address: Address,
        handlers: Sequence[tuple[Any, Any]],
        sop_classes: Sequence[str],
        security: Security = OPEN,
    ) -> None:
        entity = AE(address.ae_title)
        entity.maximum_associations = sys.maxsize
        entity.maximum_pdu_size = address.max_pdu_bytes
        entity.network_timeout = address.network_timeout_s
        entity.acse_timeout = address.request_timeout_s
        entity.add_supported_context(VERIFICATION)
        for sop_class in sop_classes:
            entity.add_supported_context(sop_class, ALL_TRANSFER_SYNTAXES)
        own = Admission(address.max_associations, security.access_control, security.notices).handlers()
        server = entity.make_server(
            (address.host, address.port),
            evt_handlers=[*own, *handlers],
            ssl_context=security.tls,
            server_class=Server,
            limits=address.limits,
            patience_s=address.request_timeout_s,
            request_handler=SecureRequestHandler if security.tls else AssociationHandler,
        )
        self._server = cast(Server, server)
        # pynetdicom asks for a backlog of 5: in a burst the kernel drops further connections, and each caller tries
        # again only after a second.
        cast(socket.socket, self._server.socket).listen(BACKLOG)
        # Several processes wait for the same connection: in those that find it taken, accept must return at once.
        cast(socket.socket, self._server.socket).setblocking(False)
        self.port = int(self._server.server_address[1])
        logger.info("listening", extra={"ae_title": address.ae_title, "host": address.host, "port": self.port})

    def start(self) -> None:
        """Accept connections in a thread; several processes may do so on one port, each after its own fork."""
        Thread(target=self._server.serve_forever, name="listener", daemon=True).start()

    def stop(self) -> None:
        """Stop listening and abort the open associations, each after the image that it is receiving."""
        self._server.stop(GRACE_S)

    def __enter__(self) -> "Listener":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
