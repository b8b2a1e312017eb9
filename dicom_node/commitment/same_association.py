"""A request of ours on an association that a peer opened and goes on using."""

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
    """Sends N-EVENT-REPORT between the requests of the peer, and serves these on.

    pynetdicom's own ``send_n_event_report`` takes the next message for its answer: an image sent at that moment would
    end the association. Here the request leaves while no request of the peer is being served, and its answer is
    awaited beside them.

    Made inside the handler of N-ACTION: the one request being served then is this N-ACTION.
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
        """Whether the association is still there."""
        return bool(self._association.is_established)

    def close(self) -> None:
        """Listen no longer to the association's messages."""
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
        """Send an N-EVENT-REPORT and return the status of its answer; None where none came in time.

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
        """Whether the reactor has come to its checkpoint with nothing left to answer.

        It calls itself paused also while it serves a request, and an answer is "sent" a moment before it is queued.
        """
        for _ in range(RESTS):
            time.sleep(PAUSE_S)
            if not self._association._is_paused or self._unanswered:
                return False
        return True
