"""Passes on to pynetdicom the messages that are no image, and keeps within bounds what it holds of them in memory."""

from typing import cast

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import P_DATA

from dicom_node.scp.commands import COMMAND, LAST, has_data_set

# A storage commitment request for 100,000 images, with the longest UIDs.
LONGEST_DATA_SET = 16_777_216
# No asynchronous operations are negotiated: an honest peer has one request open, besides those to cancel it.
MOST_WAITING = 64


class InvalidPDU(Exception):
    """The peer sent a PDU that the protocol does not allow; the association is aborted."""


class OtherMessages:
    """Passes on the messages of one association."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self._room: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether a message waits for the rest of its data set."""
        return self._room is not None

    def begin(self, context_id: int, command: bytes, longest: int) -> None:
        """Pass on a whole command set; its data set may have ``longest`` bytes. Raises InvalidPDU if too many wait."""
        if self._association.dimse.msg_queue.qsize() >= MOST_WAITING:
            raise InvalidPDU
        self._room = longest if has_data_set(command) else None
        self._pass_on(context_id, bytes([COMMAND | LAST]) + command)

    def require_room(self, size: int) -> None:
        """Raise InvalidPDU for data that follow no command, or for more of them than are taken."""
        if self._room is None or size > self._room:
            raise InvalidPDU
        self._room -= size

    def data(self, context_id: int, control: int, content: bytes) -> None:
        """Pass on a fragment for which there is room."""
        if control & LAST:
            self._room = None
        self._pass_on(context_id, bytes([control]) + content)

    def _pass_on(self, context_id: int, fragment: bytes) -> None:
        primitive = P_DATA()
        # pynetdicom annotates pairs (tuples) but needs lists.
        primitive.presentation_data_value_list = cast(list[tuple[int, bytes]], [[context_id, fragment]])
        self._association.dimse.receive_primitive(primitive)
