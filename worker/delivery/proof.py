"""Asks an archive by DIMSE whether it has what it took: by storage commitment (PS3.4 Annex J) or by C-FIND."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from uuid import uuid4

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association

from db.commitment import CommitmentReport, read_report
from worker.delivery.association import Caller, opened
from worker.delivery.dicom_file import DicomFile
from worker.errors import PeerRefused, PeerUnreachable

COMMITMENT_CLASS, COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1"), UID("1.2.840.10008.1.20.1.1")
STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
REQUEST_COMMITMENT = 1
# Each query names one object.
MOST_ANSWERS = 100
SUCCESS, PENDING = 0x0000, (0xFF00, 0xFF01)
INVALID_ARGUMENT = 0x0115
# Who answers on the association of the request does so at once; all others call our listener.
SAME_ASSOCIATION_S = 3.0
# The answer to a report leaves in another thread: a release before it would take the report back.
ANSWER_LEAVES_S = 0.2
COMMITMENT, QUERY = "commitment", "query"
CLASSES = {COMMITMENT: COMMITMENT_CLASS, QUERY: STUDY_ROOT_FIND}
WORDS = {COMMITMENT: "storage commitment", QUERY: "C-FIND"}


@dataclass(frozen=True)
class Held:
    """The answer to a query: the SOP Instance UIDs that the archive has, of those it was asked for."""

    sop_uids: frozenset[str]


@dataclass(frozen=True)
class Asked:
    """Storage commitment was asked for, and the archive will call our listener to report."""


Finding = Held | Asked | CommitmentReport


@dataclass(frozen=True)
class Search:
    """What is to be proven, and how: each of ``ways`` that the archive offers is tried until one is answered.

    ``asking`` is called with the transaction UID before storage commitment is asked for.
    """

    files: Sequence[DicomFile]
    ways: Sequence[str]
    asking: Callable[[str], None]


def seek(caller: Caller, search: Search) -> Finding:
    """Seek a proof over one association.

    Raises
    ------
    PeerUnreachable
        No answer; seeking again later is safe.
    PeerRefused
        The archive offers no way to prove it.
    """
    reports: Queue[CommitmentReport] = Queue()
    handler = (evt.EVT_N_EVENT_REPORT, _taker(reports, caller.peer.ae_title))
    try:
        with opened(caller, [(CLASSES[way], None) for way in search.ways], [handler]) as association:
            found = _answered(association, search, reports)
    except PeerRefused as refusal:
        if refusal.code != "no_presentation_context":
            raise
        ways = " nor ".join(WORDS[way] for way in search.ways)
        raise PeerRefused(f"{caller.peer} does not offer {ways}", code="no_proof_offered") from refusal
    except (RuntimeError, ValueError) as error:
        raise PeerUnreachable(f"{caller.peer} broke off while it was asked", code="broke_off") from error
    if found is None:
        raise PeerUnreachable(f"{caller.peer} did not say whether it has the objects", code="no_answer")
    return found


def _answered(association: Association, search: Search, reports: Queue[CommitmentReport]) -> Finding | None:
    offered = {context.abstract_syntax for context in association.accepted_contexts}
    for way in (one for one in search.ways if CLASSES[one] in offered):
        found = _ask(association, search, reports) if way == COMMITMENT else _find(association, search.files)
        if found is not None:
            return found
    return None


def _ask(association: Association, search: Search, reports: Queue[CommitmentReport]) -> Finding | None:
    """Ask for storage commitment; None where the archive refuses the request."""
    request = Dataset()
    request.TransactionUID = f"2.25.{uuid4().int}"
    request.ReferencedSOPSequence = [_reference(file) for file in search.files]
    search.asking(request.TransactionUID)
    status, _ = association.send_n_action(request, REQUEST_COMMITMENT, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
    if status.get("Status") != SUCCESS:
        return None
    try:
        report = reports.get(timeout=SAME_ASSOCIATION_S)
    except Empty:
        return Asked()
    time.sleep(ANSWER_LEAVES_S)
    return report


def _reference(file: DicomFile) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = file.sop_class, file.sop_uid
    return item


def _taker(reports: Queue[CommitmentReport], archive_ae: str) -> Callable[[evt.Event], tuple[int, None]]:
    def take(event: evt.Event) -> tuple[int, None]:
        try:
            reports.put(read_report(event.event_information, archive_ae))
        except (AttributeError, TypeError, ValueError):
            return INVALID_ARGUMENT, None
        return SUCCESS, None

    return take


def _find(association: Association, files: Sequence[DicomFile]) -> Held | None:
    """Ask for each object at the image level; None where the archive does not answer with success."""
    held = set()
    for file in files:
        answers = association.send_c_find(_query(file), STUDY_ROOT_FIND)
        for number, (status, match) in enumerate(answers):
            if number > MOST_ANSWERS:
                association.abort()
                raise PeerUnreachable("the archive answers a query without end", code="no_answer")
            if match is not None and match.get("SOPInstanceUID") == file.sop_uid:
                held.add(file.sop_uid)
            if status.get("Status") not in (SUCCESS, *PENDING):
                return None
    return Held(frozenset(held))


def _query(file: DicomFile) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID, query.SeriesInstanceUID = file.study_uid, file.series_uid
    query.SOPInstanceUID = file.sop_uid
    return query
