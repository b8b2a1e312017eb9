"""A peer's socket: read without copying, exactly as much as is wanted, never waited for longer than agreed."""

import socket
import struct

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket


class Connection(AssociationSocket):
    """A peer's socket."""

    _returned = b""

    def put_back(self, header: bytes) -> None:
        """Let the next read begin with these bytes."""
        self._returned = header

    def recv(self, nr_bytes: int) -> bytearray:
        """Return exactly so many bytes, or fewer where the peer has gone."""
        content, self._returned = bytearray(self._returned), b""
        try:
            content += self.exactly(nr_bytes - len(content))
        except EOFError:
            return bytearray()
        return content

    def exactly(self, count: int) -> bytes:
        """Return so many bytes. Raises EOFError where the peer has gone, OSError where it has stalled."""
        content = bytearray(count)
        view, filled = memoryview(content), 0
        while filled < count:
            filled += self.read_into(view[filled:])
        return bytes(content)

    def read_into(self, room: memoryview) -> int:
        """Fill some of the room and return how much."""
        if self.socket is None:
            raise EOFError
        count = self.socket.recv_into(room)
        if not count:
            raise EOFError
        return count


def prepared(association: Association, connection: socket.socket) -> socket.socket:
    """Return an accepted connection with its options set."""
    # Nagle's algorithm and delayed acknowledgements cost 40 ms an image otherwise.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if association.network_timeout is not None:
        # A peer that stops in the middle of a PDU, or reads no answer, is not waited for longer.
        whole_s = int(association.network_timeout)
        limit = struct.pack("ll", whole_s, int((association.network_timeout - whole_s) * 1e6))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    return connection
