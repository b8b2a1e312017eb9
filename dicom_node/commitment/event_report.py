"""The N-EVENT-REPORT that answers a storage commitment request (PS3.4 J.3.3)."""

from pydicom import Dataset
from pydicom.uid import UID

from db.commitment import CommitmentAnswer, SOPOutcome

COMMITMENT_CLASS, COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1"), UID("1.2.840.10008.1.20.1.1")
# Event types of the Storage Commitment Push Model (PS3.4 J.3.3.1.2).
ALL_COMMITTED, SOME_FAILED = 1, 2
# For so long an answer may still be sent on the association of its request; after that it can no longer.
SAME_ASSOCIATION_S = 120.0


def event_report(answer: CommitmentAnswer) -> tuple[int, Dataset]:
    """Return event type and Event Information (PS3.4 Table J.3-2): which images are kept, which failed and why."""
    report = Dataset()
    report.TransactionUID = answer.transaction_uid
    kept = [_item(one) for one in answer.outcomes if one.failure is None]
    failed = [_item(one) for one in answer.outcomes if one.failure is not None]
    if kept:
        report.ReferencedSOPSequence = kept
    if failed:
        report.FailedSOPSequence = failed
    return SOME_FAILED if failed else ALL_COMMITTED, report


def _item(one: SOPOutcome) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class, one.sop_uid
    if one.failure is not None:
        item.FailureReason = one.failure
    return item
