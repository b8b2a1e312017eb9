"""Takes what archives report on our own storage commitment requests (PS3.4 J.3.3), and keeps it for the scheduler."""

import logging

from pynetdicom import evt

from db.commitment import read_report
from dicom_node.commitment.event_report import COMMITMENT_CLASS
from dicom_node.commitment.mailbox import Mailbox
from dicom_node.errors import UNPARSEABLE, UnreadableInstance
from dicom_node.spool.image import check_uid

logger = logging.getLogger(__name__)
# Statuses of N-EVENT-REPORT (PS3.7 10.1.1.1.8).
SUCCESS, NO_SUCH_CLASS, INVALID_ARGUMENT, RESOURCE_LIMITATION = 0x0000, 0x0118, 0x0115, 0x0213
MOST_OUTCOMES = 1000
# The scheduler takes them within a second; more than so many mean that it is away, or that somebody makes them up.
MOST_WAITING = 1000


class ReportTaker:
    """Answers the N-EVENT-REPORT requests that reach one listener. Whether a report is wanted, the scheduler judges."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def handlers(self) -> list[tuple[object, object]]:
        """Return the pairs (event, handler) as pynetdicom wants them."""
        return [(evt.EVT_N_EVENT_REPORT, self.reported)]

    def reported(self, event: evt.Event) -> tuple[int, None]:
        """Keep a report and answer 0x0000 once it is durable."""
        if event.context.abstract_syntax != COMMITMENT_CLASS:
            return NO_SUCH_CLASS, None
        try:
            if len(self._mailbox.reports()) >= MOST_WAITING:
                return RESOURCE_LIMITATION, None
            report = read_report(event.event_information, str(event.assoc.requestor.ae_title))
            check_uid(report.transaction_uid)
            if len(report.outcomes) > MOST_OUTCOMES:
                return RESOURCE_LIMITATION, None
            self._mailbox.put_report(report)
        except (*UNPARSEABLE, UnreadableInstance) as error:
            refused = RESOURCE_LIMITATION if isinstance(error, OSError) else INVALID_ARGUMENT
            facts = {"status": f"0x{refused:04X}", "error": type(error).__name__}
            logger.warning("commitment report refused", extra=facts)
            return refused, None
        return SUCCESS, None
