"""The upper layer under pynetdicom's associations: it waits on the socket, and gives images straight to their reader.

pynetdicom's own sleeps a millisecond between two looks at the socket, reads 4 KiB at a time, copies each image several
times and answers from a second thread. Negotiation, release, abort, and all messages but C-STORE requests stay its own.
See docs/decisions/0020.
"""

import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from queue import Queue
from threading import Lock
from typing import Any, Protocol, cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from dicom_node.scp.commands import COMMAND, LAST, P_DATA_TF, StoreRequest, read_request, write_answer
from dicom_node.scp.connection import Connection

# How late a thread sees what rings no bell: that it was killed, that a timer ran out.
IDLE_S = 0.5
LONGEST_COMMAND = 65_536
# An association request with 128 presentation contexts of 50 transfer syntaxes has 200 kB.
LONGEST_OTHER_PDU = 1_048_576
ESTABLISHED, CLOSING = "Sta6", "Sta13"
CONNECTION_CLOSED, INVALID_PDU = "Evt17", "Evt19"
EVT_STORE = evt.InterventionEvent("EVT_STORE", "An image begins: the handler returns who takes its bytes")
EVT_ENDED = evt.NotificationEvent("EVT_ENDED", "An association and its connection are over, however that came")


class Reception(Protocol):
    """Who takes the bytes of one image."""

    def room(self) -> memoryview:
        """Return where the next bytes go; never empty."""

    def received(self, count: int) -> None:
        """Note that ``count`` bytes were written to the room."""

    def finish(self) -> int:
        """Return the status for the sender: there are no more bytes."""

    def discard(self) -> None:
        """Forget the image: its sender is gone."""


class InvalidPDU(Exception):
    """The peer breaks the protocol; the association is aborted."""


class UpperLayer(DULServiceProvider):
    """One association's upper layer."""

    def __init__(self, assoc: Association, ring_association: Callable[[], None]) -> None:
        super().__init__(assoc)
        self._ring_association = ring_association
        self._bell, self._bell_lock = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC), Lock()
        self.to_provider_queue = RingingQueue(self._ring)
        self.to_user_queue = RingingQueue(ring_association)
        self._poll = select.poll()
        self._poll.register(self._bell, select.POLLIN)
        self._last_heard = time.monotonic()
        # Whoever keeps something for an association looks here once it is kept: its end may have been told before.
        self.has_ended = False
        self._command = b""
        self._request: StoreRequest | None = None
        self._reception: Reception | None = None

    def listen_to(self, connection: "Connection") -> None:
        """Take over a connection that was just accepted."""
        self.socket = connection
        self._poll.register(cast(socket.socket, connection.socket), select.POLLIN)

    def _ring(self) -> None:
        with self._bell_lock:
            # After the thread's end the descriptor's number may be an image's.
            if self._bell >= 0:
                os.eventfd_write(self._bell, 1)

    def run_reactor(self) -> None:
        """Run until the association has ended."""
        try:
            super().run_reactor()
        finally:
            self._discard()
            self.has_ended = True
            # However it ended: pynetdicom tells of a closed connection only where no exception ended its thread.
            evt.trigger(self.assoc, EVT_ENDED, {})
            with self._bell_lock:
                os.close(self._bell)
                self._bell = -1
            self._ring_association()

    def kill_dul(self) -> None:
        """End the thread, at once if it waits."""
        super().kill_dul()
        self._ring()

    def stop_dul(self) -> bool:
        """End the thread where the association is over, at once if it waits."""
        if self.state_machine.current_state == "Sta1":
            self.kill_dul()
        return bool(super().stop_dul())

    def idle_timer_expired(self) -> bool:
        """Whether the peer has been silent for too long; a clock that is set forward does not make it so."""
        limit_s = self.network_timeout
        return limit_s is not None and time.monotonic() - self._last_heard > limit_s

    def _is_transport_event(self) -> bool:
        if self.state_machine.current_state == CLOSING:
            return bool(super()._is_transport_event())
        heard = False
        # In the middle of an image nothing else is to be waited for.
        while self._reception or self._is_readable():
            heard, self._last_heard = True, time.monotonic()
            self._read_pdu_data()
            if not self.event_queue.empty():
                break
        return heard

    def _is_readable(self) -> bool:
        """Wait until the peer, or a primitive to be sent, is there; say whether it is the peer."""
        connection = cast(Connection, self.socket).socket
        if connection is None:
            return False
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        idle = self.event_queue.empty() and self.to_provider_queue.empty() and not self._kill_thread
        ready = dict(self._poll.poll(IDLE_S * 1000 if idle else 0))
        if ready.pop(self._bell, None):
            os.eventfd_read(self._bell)
        return bool(ready) and self.to_provider_queue.empty()

    def _read_pdu_data(self) -> None:
        connection = cast(Connection, self.socket)
        try:
            header = connection.exactly(6)
            length = int.from_bytes(header[2:], "big")
            if header[0] == P_DATA_TF and self.state_machine.current_state == ESTABLISHED:
                self._receive(length)
                return
        except (OSError, EOFError):
            self._give_up(CONNECTION_CLOSED)
            return
        except InvalidPDU:
            self._give_up(INVALID_PDU)
            return
        if length > LONGEST_OTHER_PDU:
            self._give_up(INVALID_PDU)
            return
        connection.put_back(header)
        super()._read_pdu_data()

    def _give_up(self, event: str) -> None:
        self._discard()
        self.event_queue.put(event)

    def _discard(self) -> None:
        if self._reception is not None:
            self._reception.discard()
            self._reception = None

    def _receive(self, length: int) -> None:
        """Read one P-DATA-TF, whatever its length, fragment by fragment (PS3.8 9.3.5)."""
        connection = cast(Connection, self.socket)
        while length > 0:
            fragment = connection.exactly(6)
            size = int.from_bytes(fragment[:4], "big") - 2
            length -= size + 6
            if size < 0 or length < 0:
                raise InvalidPDU
            context_id, control = fragment[4:]
            if control & COMMAND:
                self._receive_command(context_id, control, size)
            elif self._reception is None:
                self._pass_on(context_id, bytes([control]) + connection.exactly(size))
            else:
                self._receive_image(self._reception, control, size)

    def _receive_command(self, context_id: int, control: int, size: int) -> None:
        if self._reception is not None or len(self._command) + size > LONGEST_COMMAND:
            raise InvalidPDU
        self._command += cast(Connection, self.socket).exactly(size)
        if not control & LAST:
            return
        command, self._command = self._command, b""
        self._request = read_request(command, context_id)
        context = self.assoc._accepted_cx.get(context_id)
        if self._request is not None and context is not None:
            self._reception = cast(
                Reception | None,
                evt.trigger(self.assoc, EVT_STORE, {"request": self._request, "context": context.as_tuple}),
            )
        if self._reception is None:
            self._pass_on(context_id, bytes([control]) + command)

    def _receive_image(self, reception: Reception, control: int, size: int) -> None:
        connection = cast(Connection, self.socket)
        while size > 0:
            count = connection.read_into(reception.room()[:size])
            reception.received(count)
            size -= count
        if control & LAST:
            self._reception = None
            connection.send(write_answer(cast(StoreRequest, self._request), reception.finish()))

    def _pass_on(self, context_id: int, fragment: bytes) -> None:
        """Give a fragment to pynetdicom: all messages but images are its own."""
        primitive = P_DATA()
        # Its annotation asks for pairs, its code for lists.
        primitive.presentation_data_value_list = cast(list[tuple[int, bytes]], [[context_id, fragment]])
        self.assoc.dimse.receive_primitive(primitive)


class RingingQueue(Queue[Any]):
    """A queue that rings when something is put into it."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._ring()
