"""Sends a request of ours on an association that the peer opened and still uses for requests of its own."""

import time
from io import BytesIO
from threading import Condition, Lock

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode

from dicom_node.errors import PeerAway

ANSWER_TIMEOUT_S = 30.0
PAUSE_S = 0.005
RESTS = 3
_sending = Lock()


class SameAssociation:
    """Sends N-EVENT-REPORT between two requests of the peer, while these go on being served.

    pynetdicom's own ``send_n_event_report`` takes whatever message comes next for its answer, so an image sent at that
    moment would end the association. This class sends while no request of the peer is being served, and recognizes the
    answer by its message type.

    It has to be made inside the handler of N-ACTION: it counts this N-ACTION as the one request being served.
    """

    def __init__(self, association: Association) -> None:
        self._association = association
        self._unanswered = 1
        self._status: int | None = None
        self._changed = Condition()
        association.bind(evt.EVT_DIMSE_RECV, self._received)
        association.bind(evt.EVT_DIMSE_SENT, self._sent)

    @property
    def is_open(self) -> bool:
        """Whether the association is still established."""
        return bool(self._association.is_established)

    def close(self) -> None:
        """Stop listening to the messages of the association."""
        self._association.unbind(evt.EVT_DIMSE_RECV, self._received)
        self._association.unbind(evt.EVT_DIMSE_SENT, self._sent)

    def _received(self, event: evt.Event) -> None:
        name = type(event.message).__name__
        with self._changed:
            if name.endswith("_RQ") and name != "C_CANCEL_RQ":
                self._unanswered += 1
            elif name == "N_EVENT_REPORT_RSP":
                self._status = int(event.message.command_set.Status)
                self._changed.notify_all()

    def _sent(self, event: evt.Event) -> None:
        if type(event.message).__name__.endswith("_RSP"):
            with self._changed:
                self._unanswered -= 1

    def report(self, sop_class: UID, sop_instance: UID, kind: int, report: Dataset) -> int | None:
        """Send an N-EVENT-REPORT and return the status of its answer; None where no answer came in time.

        Raises
        ------
        PeerAway
            The association ended.
        """
        context = self._association._get_valid_context(sop_class, "", None)
        syntax = context.transfer_syntax[0]
        request = N_EVENT_REPORT()
        request.MessageID, request.EventTypeID = 1, kind
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class, sop_instance
        request.EventInformation = BytesIO(encode(report, syntax.is_implicit_VR, syntax.is_little_endian) or b"")
        with _sending:
            self._send_between(request, int(context.context_id or 0))
        with self._changed:
            self._changed.wait_for(lambda: self._status is not None, ANSWER_TIMEOUT_S)
            return self._status

    def _send_between(self, request: N_EVENT_REPORT, context_id: int) -> None:
        association = self._association
        while association.is_established:
            association._reactor_checkpoint.clear()
            try:
                if self._rests():
                    association.dimse.send_msg(request, context_id)
                    return
            finally:
                association._reactor_checkpoint.set()
            time.sleep(PAUSE_S)
        raise PeerAway("the association ended before the answer was sent")

    def _rests(self) -> bool:
        """Whether pynetdicom's reactor waits at its checkpoint and no request of the peer is unanswered.

        Looked at several times in a row: the reactor calls itself paused also while it serves a request, and an answer
        counts as sent a moment before it is queued.
        """
        for _ in range(RESTS):
            time.sleep(PAUSE_S)
            if not self._association._is_paused or self._unanswered:
                return False
        return True
