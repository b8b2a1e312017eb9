"""The TCP server of the listener: each connection it accepts becomes an association over an :class:`UpperLayer`."""

import time
from socketserver import BaseServer
from threading import Event as Bell
from typing import Any

from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom_node.scp.connection import Connection, prepared
from dicom_node.scp.limits import Limits
from dicom_node.scp.upper_layer import IDLE_S, RingingQueue, UpperLayer
from dicom_node.scp.waiting_room import WaitingRoom


class _Checkpoint(Bell):
    """Lets the association's thread sleep until a message or an event arrives for it.

    pynetdicom's thread waits for this event at the head of each turn of its loop; its own sleeps a fixed time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set()
        self._bell = Bell()
        self.ring = self._bell.set

    def wait(self, timeout: float | None = None) -> bool:
        self._bell.wait(IDLE_S)
        self._bell.clear()
        return super().wait(timeout)


class AssociationHandler(RequestHandler):
    """Sets up one accepted connection."""

    server: "Server"

    def _create_association(self) -> Association:
        association = super()._create_association()
        checkpoint = _Checkpoint()
        association._reactor_checkpoint = checkpoint
        association.dimse.msg_queue = RingingQueue(checkpoint.ring)
        association.dul = upper_layer = UpperLayer(association, checkpoint.ring, self.server.limits)
        upper_layer.listen_to(Connection(association, client_socket=prepared(association, self.request)))
        # pynetdicom set these timeouts on the upper layer that was just replaced.
        association.acse_timeout = association.ae.acse_timeout
        association.network_timeout = association.ae.network_timeout
        return association


class Server(ThreadedAssociationServer):
    """Accepts connections; each gets an :class:`UpperLayer` with these limits once it has said something.

    One that says nothing for ``patience_s`` is closed.
    """

    def __init__(self, *words: Any, limits: Limits, patience_s: float, **options: Any) -> None:
        self.limits = limits
        self._waiting_room = WaitingRoom(patience_s, self._begin)
        super().__init__(*words, **options)

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Accept connections until :meth:`stop`."""
        self._waiting_room.open()
        super().serve_forever(poll_interval)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Let a connection wait until it speaks; then it gets a thread of its own."""
        self._waiting_room.take(request, client_address)

    def _begin(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            # No thread can be had: as socketserver has it, that costs this caller its connection and nobody else.
            self.handle_error(request, client_address)
            self.shutdown_request(request)

    def stop(self, grace_s: float) -> None:
        """Accept no more and abort the associations, each after the image it has at hand if that comes in time."""
        BaseServer.shutdown(self)
        self.server_close()
        self._waiting_room.close()
        for association in self.active_associations:
            association._abort_nonblocking()
        deadline = time.monotonic() + grace_s
        for association in self.active_associations:
            association.join(max(deadline - time.monotonic(), 0))
