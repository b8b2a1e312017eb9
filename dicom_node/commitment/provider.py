"""Takes storage commitment requests of modalities (PS3.4 Annex J), keeps them, and answers on their association."""

import logging
import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from threading import Thread
from typing import cast

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.pdu_primitives import A_ASSOCIATE

from db.commitment import CommitmentRequest, SOPReference
from dicom_node.commitment.event_report import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    SAME_ASSOCIATION_S,
    event_report,
)
from dicom_node.commitment.mailbox import Mailbox
from dicom_node.commitment.same_association import SameAssociation
from dicom_node.errors import UNPARSEABLE, PeerAway, UnreadableInstance
from dicom_node.spool.image import check_uid

logger = logging.getLogger(__name__)
POLL_S = 0.25
REQUEST_COMMITMENT = 1
MOST_REFERENCES = 100_000
# Statuses of N-ACTION (PS3.7 10.1.4.1.10).
SUCCESS, NO_SUCH_INSTANCE, INVALID_ARGUMENT, NO_SUCH_ACTION, NOT_AUTHORIZED, RESOURCE_LIMITATION = (
    0x0000,
    0x0112,
    0x0115,
    0x0123,
    0x0124,
    0x0213,
)


class CommitmentProvider:
    """Answers the N-ACTION requests that reach one listener.

    The answer to N-ACTION says only that the request is kept. Which of its images are kept is told by N-EVENT-REPORT:
    on the same association while that is open, or on one of our own where the site file gives the caller's address.

    Parameters
    ----------
    mailbox
        Where requests go, and answers come from.
    callers_who_listen
        The AE titles that take answers at an address in the site file.
    may_ask
        Says whether a caller, by AE title and address, is offered the service.
    """

    def __init__(
        self, mailbox: Mailbox, callers_who_listen: Collection[str], may_ask: Callable[[str, str], bool]
    ) -> None:
        self._mailbox = mailbox
        self._may_ask = may_ask
        self._callers_who_listen = frozenset(callers_who_listen)

    def handlers(self) -> list[tuple[object, object]]:
        """Return the pairs (event, handler) as pynetdicom wants them."""
        return [(evt.EVT_REQUESTED, self.negotiated), (evt.EVT_N_ACTION, self.requested)]

    def negotiated(self, event: evt.Event) -> None:
        """Reject the presentation context of a caller that may not ask: "abstract syntax not supported".

        The modality learns at once that this node does not commit, not only after it has sent its images (PS3.8
        9.3.3.2). An archive that reports on a request of ours proposes the SCP's role for itself (PS3.4 J.3.3), and has
        that one alone, unless it may ask as well.
        """
        if event.assoc.is_rejected:
            return
        acceptor, may_ask = event.assoc.acceptor, self._asks_rightly(event)
        offered = acceptor.supported_contexts
        for context in offered:
            if context.abstract_syntax == COMMITMENT_CLASS:
                context.scu_role, context.scp_role = may_ask, True
        if not may_ask and not _reports(event):
            offered = [context for context in offered if context.abstract_syntax != COMMITMENT_CLASS]
        acceptor.supported_contexts = offered

    def _asks_rightly(self, event: evt.Event) -> bool:
        asked = cast(A_ASSOCIATE, event.assoc.requestor.primitive)
        return self._may_ask(str(asked.calling_ae_title), str(event.assoc.requestor.address))

    def requested(self, event: evt.Event) -> tuple[int, None]:
        """Keep a request and answer 0x0000 once it is durable."""
        asked = cast(N_ACTION, event.request)
        if asked.RequestedSOPInstanceUID != COMMITMENT_INSTANCE:
            return NO_SUCH_INSTANCE, None
        if not self._asks_rightly(event):
            return NOT_AUTHORIZED, None
        if event.action_type != REQUEST_COMMITMENT:
            return NO_SUCH_ACTION, None
        try:
            request = _request(event)
            self._mailbox.put(request)
        except (*UNPARSEABLE, UnreadableInstance) as error:
            refused = RESOURCE_LIMITATION if isinstance(error, OSError) else INVALID_ARGUMENT
            facts = {"status": f"0x{refused:04X}", "error": type(error).__name__}
            logger.warning("commitment request refused", extra=facts)
            return refused, None
        if request.calling_ae not in self._callers_who_listen:
            # In a thread of its own: the answer to N-ACTION has to leave first, and images may follow on it.
            same = SameAssociation(event.assoc)
            Thread(target=answer_on, args=(same, self._mailbox, request), daemon=True).start()
        return SUCCESS, None


def _reports(event: evt.Event) -> bool:
    """Whether the caller proposes to be the SCP of storage commitment, as an archive does that reports."""
    role = event.assoc.requestor.role_selection.get(COMMITMENT_CLASS)
    return role is not None and bool(role.scp_role)


def _request(event: evt.Event) -> CommitmentRequest:
    """Read the Action Information. Raises UnreadableInstance, or one of UNPARSEABLE, where it is malformed."""
    asked: Dataset = event.action_information
    transaction_uid = str(asked.TransactionUID)
    references = tuple(_references(asked))
    if not 0 < len(references) <= MOST_REFERENCES:
        raise UnreadableInstance("a commitment request names no image, or too many")
    for uid in (transaction_uid, *(uid for pair in references for uid in pair)):
        check_uid(uid)
    return CommitmentRequest(
        transaction_uid=transaction_uid,
        calling_ae=str(event.assoc.requestor.ae_title),
        receiving_ae=str(cast(A_ASSOCIATE, event.assoc.requestor.primitive).called_ae_title),
        references=references,
        requested_at=datetime.now(UTC),
    )


def _references(asked: Dataset) -> Iterator[SOPReference]:
    for item in asked.ReferencedSOPSequence:
        yield SOPReference(str(item.ReferencedSOPInstanceUID), str(item.ReferencedSOPClassUID))


def answer_on(association: SameAssociation, mailbox: Mailbox, request: CommitmentRequest) -> None:
    """Wait until a request is judged and report the outcome on the association of the request, while that is open."""
    deadline = time.monotonic() + SAME_ASSOCIATION_S
    try:
        while association.is_open and time.monotonic() < deadline:
            if _answered_on(association, mailbox, request):
                return
            time.sleep(POLL_S)
    finally:
        association.close()


def _answered_on(association: SameAssociation, mailbox: Mailbox, request: CommitmentRequest) -> bool:
    answer = mailbox.answer(request)
    if answer is None:
        return False
    kind, report = event_report(answer)
    try:
        status = association.report(COMMITMENT_CLASS, COMMITMENT_INSTANCE, kind, report)
    except PeerAway:
        # The scheduler notes in the row that the request was not answered, once SAME_ASSOCIATION_S have passed.
        return False
    if status != SUCCESS:
        return False
    mailbox.taken(request)
    facts = {"transaction_uid": answer.transaction_uid, "calling_ae": answer.calling_ae, "event_type": kind}
    logger.info("commitment answered", extra=facts)
    return True
