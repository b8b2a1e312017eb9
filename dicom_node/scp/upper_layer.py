"""The upper layer under pynetdicom's associations: it waits on the socket, and reads images straight into the spool.

pynetdicom's own upper layer sleeps a millisecond between two looks at the socket, reads 4 KiB at a time, copies each
image several times and answers from a second thread. Only C-STORE requests are received here; negotiation, release,
abort and all other messages go through pynetdicom. See docs/decisions/0020.
"""

import logging
import os
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable
from queue import Queue
from threading import Lock
from typing import Any, Protocol, cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider

from dicom_node.pace import Pace, TooSlow
from dicom_node.scp.commands import COMMAND, LAST, P_DATA_TF, StoreRequest, read_request, write_answer
from dicom_node.scp.connection import Connection
from dicom_node.scp.limits import Limits
from dicom_node.scp.other_messages import LONGEST_DATA_SET, InvalidPDU, OtherMessages

logger = logging.getLogger(__name__)
# A killed thread and an expired timer wake nobody: a waiting thread looks for them itself this often.
IDLE_S = 0.5
LONGEST_COMMAND = 65_536
# For comparison: an association request with 128 presentation contexts of 50 transfer syntaxes has 200 kB.
LONGEST_OTHER_PDU = 1_048_576
# Some peers count the headers of PDU and fragment into the largest PDU that they were offered, and some do not.
HEADERS = 12
IDLE, BEFORE_A_REQUEST, ESTABLISHED, CLOSING = "Sta1", "Sta2", "Sta6", "Sta13"
CONNECTION_CLOSED, INVALID_PDU = "Evt17", "Evt19"
EVT_STORE = evt.InterventionEvent("EVT_STORE", "An image begins: the handler returns its Reception")
EVT_ENDED = evt.NotificationEvent("EVT_ENDED", "An association and its connection have ended, in whatever way")


class Reception(Protocol):
    """Takes the bytes of one image as they arrive."""

    def room(self) -> memoryview:
        """Return the memory that the next bytes are read into; never empty."""

    def received(self, count: int) -> None:
        """Note that the first ``count`` bytes of the room were filled."""

    def finish(self) -> int:
        """Finish the image after its last byte and return the C-STORE status for the sender."""

    def discard(self) -> None:
        """Drop the image: its association ended before its last byte."""


class UpperLayer(DULServiceProvider):
    """One association's upper layer."""

    def __init__(self, assoc: Association, ring_association: Callable[[], None], limits: Limits) -> None:
        super().__init__(assoc)
        self._ring_association = ring_association
        self._longest_pdu = limits.max_pdu_bytes + HEADERS if limits.max_pdu_bytes else sys.maxsize
        self._limits, self._image_room = limits, 0
        self._others = OtherMessages(assoc)
        self._bell, self._bell_lock = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC), Lock()
        self.to_provider_queue = RingingQueue(self._ring)
        self.to_user_queue = RingingQueue(ring_association)
        self._poll = select.poll()
        self._poll.register(self._bell, select.POLLIN)
        self._last_heard = time.monotonic()
        # A handler that stores something for this association checks this flag afterwards: where the association
        # ended before, EVT_ENDED has been sent already and nobody would remove it again.
        self.has_ended = False
        self._command = b""
        self._request: StoreRequest | None = None
        self._reception: Reception | None = None

    def listen_to(self, connection: "Connection") -> None:
        """Take over a connection that was just accepted."""
        self.socket = connection
        if self.network_timeout is not None:
            connection.pace = Pace(self._limits.min_bytes_per_s, self.network_timeout)
        self._poll.register(cast(socket.socket, connection.socket), select.POLLIN)

    def _ring(self) -> None:
        with self._bell_lock:
            # Once the thread has ended, the kernel may have given the descriptor's number to another file.
            if self._bell >= 0:
                os.eventfd_write(self._bell, 1)

    def run_reactor(self) -> None:
        """Run until the association has ended."""
        try:
            super().run_reactor()
        finally:
            self._discard()
            self.has_ended = True
            # pynetdicom sends its own event of a closed connection only where no exception ended the thread.
            evt.trigger(self.assoc, EVT_ENDED, {})
            with self._bell_lock:
                os.close(self._bell)
                self._bell = -1
            self._ring_association()

    def kill_dul(self) -> None:
        """End the thread; one that waits is woken."""
        super().kill_dul()
        self._ring()

    def stop_dul(self) -> bool:
        """End the thread where the association is over; one that waits is woken."""
        if self.state_machine.current_state == "Sta1":
            self.kill_dul()
        return bool(super().stop_dul())

    def idle_timer_expired(self) -> bool:
        """Whether the peer has been silent for longer than the network timeout, by a clock that nobody sets."""
        limit_s = self.network_timeout
        return limit_s is not None and time.monotonic() - self._last_heard > limit_s

    def _process_recv_primitive(self) -> bool:
        """Note what is to be sent; a late answer to a peer that has been aborted is dropped."""
        state = self.state_machine.current_state
        if state == CLOSING:
            self.to_provider_queue.queue.clear()
        if state == BEFORE_A_REQUEST and not self.to_provider_queue.empty():
            # The listener stops. PS3.8 knows no abort of what nobody has asked for yet: it hangs up.
            self.to_provider_queue.queue.clear()
            cast(Connection, self.socket).close()
        return state != IDLE and bool(super()._process_recv_primitive())

    def _is_transport_event(self) -> bool:
        if self.state_machine.current_state == CLOSING:
            return bool(super()._is_transport_event())
        heard = False
        # In the middle of an image, reading goes on without a look at anything else.
        while self._reception or self._is_readable():
            heard, self._last_heard = True, time.monotonic()
            self._read_pdu_data()
            if not self.event_queue.empty():
                break
        return heard

    def _is_readable(self) -> bool:
        """Wait for bytes of the peer, or for a primitive to be sent; return whether to read from the peer now."""
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
        except (InvalidPDU, TooSlow) as error:
            if str(error):
                facts = {"address": self.assoc.requestor.address, "reason": str(error)}
                logger.warning("association aborted", extra=facts)
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
        """Read one P-DATA-TF PDU, fragment by fragment (PS3.8 9.3.5)."""
        if length > self._longest_pdu:
            raise InvalidPDU
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
                self._others.require_room(size)
                self._others.data(context_id, control, connection.exactly(size))
            else:
                self._receive_image(self._reception, control, size)

    def _receive_command(self, context_id: int, control: int, size: int) -> None:
        is_within_message = self._reception is not None or self._others.is_open
        if is_within_message or len(self._command) + size > LONGEST_COMMAND:
            raise InvalidPDU
        self._command += cast(Connection, self.socket).exactly(size)
        if not control & LAST:
            return
        command, self._command = self._command, b""
        context = self.assoc._accepted_cx.get(context_id)
        if context is None:
            raise InvalidPDU
        self._request = read_request(command, context_id)
        if self._request is not None:
            self._image_room = self._limits.max_instance_bytes
            facts = {"request": self._request, "context": context.as_tuple}
            self._reception = cast(Reception | None, evt.trigger(self.assoc, EVT_STORE, facts))
        if self._reception is None:
            self._others.begin(
                context_id, command, self._limits.max_instance_bytes if self._request else LONGEST_DATA_SET
            )

    def _receive_image(self, reception: Reception, control: int, size: int) -> None:
        connection = cast(Connection, self.socket)
        self._image_room -= size
        if self._image_room < 0:
            raise InvalidPDU(f"an image is larger than {self._limits.max_instance_bytes} bytes")
        while size > 0:
            count = connection.read_into(reception.room()[:size])
            reception.received(count)
            size -= count
        if control & LAST:
            self._reception = None
            connection.send(write_answer(cast(StoreRequest, self._request), reception.finish()))


class RingingQueue(Queue[Any]):
    """A queue that wakes a waiting thread when something is put into it."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._ring()
