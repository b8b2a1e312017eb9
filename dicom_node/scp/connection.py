"""A peer's socket: it reads exactly as many bytes as are asked for, without copying, and within the network timeout."""

import socket
import struct
import time

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from dicom_node.pace import Pace


class Connection(AssociationSocket):
    """A peer's socket; bytes that were read too early can be put back."""

    _returned = b""
    pace = Pace(0, 1)

    def put_back(self, header: bytes) -> None:
        """Put back bytes that were read: the next read begins with them."""
        self._returned = header

    def recv(self, nr_bytes: int) -> bytearray:
        """Return ``nr_bytes`` bytes; none where the peer closes the connection before they have come."""
        content, self._returned = bytearray(self._returned), b""
        try:
            content += self.exactly(nr_bytes - len(content))
        except EOFError:
            return bytearray()
        return content

    def exactly(self, count: int) -> bytes:
        """Return ``count`` bytes. Raises EOFError where the peer has closed, OSError where it sends nothing in time."""
        content = bytearray(count)
        view, filled = memoryview(content), 0
        while filled < count:
            filled += self.read_into(view[filled:])
        return bytes(content)

    def read_into(self, room: memoryview) -> int:
        """Read once into ``room`` and return how many bytes came.

        Raises
        ------
        EOFError
            The peer has closed.
        TooSlow
            It sends more slowly than the least rate.
        """
        if self.socket is None:
            raise EOFError
        begun = time.monotonic()
        count = self.socket.recv_into(room)
        if not count:
            raise EOFError
        self.pace.came(count, time.monotonic() - begun)
        return count


def prepared(association: Association, connection: socket.socket) -> socket.socket:
    """Return an accepted connection with its options set."""
    # Without this, Nagle's algorithm and delayed acknowledgements cost 40 ms for each image.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if association.network_timeout is not None:
        # Reading and writing fail after this time where a peer stops in the middle of a PDU, or reads no answer.
        whole_s = int(association.network_timeout)
        limit = struct.pack("ll", whole_s, int((association.network_timeout - whole_s) * 1e6))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    return connection
