"""Which audit message a change in the rows, or a notice of a process, becomes (PS3.15 A.5.3)."""

from urllib.parse import urlsplit

from db.tracking import ToldEvent
from dicom_node.audit_messages.message import (
    BY_ADDRESS,
    BY_NAME,
    BY_URI,
    CREATE,
    EXECUTE,
    MINOR_FAILURE,
    READ,
    SERIOUS_FAILURE,
    SUCCESS,
    AuditMessage,
    Code,
    Instances,
    Participant,
    Thing,
)
from dicom_node.spool.notices import AUDIT_USED, CALLER_REFUSED, STARTED, STOPPED, Notice

APPLICATION_ACTIVITY = Code("110100", "Application Activity")
AUDIT_LOG_USED = Code("110101", "Audit Log Used")
BEGIN_TRANSFERRING = Code("110102", "Begin Transferring DICOM Instances")
TRANSFERRED = Code("110104", "DICOM Instances Transferred")
SECURITY_ALERT = Code("110113", "Security Alert")
APPLICATION_START = Code("110120", "Application Start")
APPLICATION_STOP = Code("110121", "Application Stop")
NODE_AUTHENTICATION = Code("110126", "Node Authentication")
APPLICATION = Code("110150", "Application")
DESTINATION = Code("110152", "Destination Role ID")
SOURCE = Code("110153", "Source Role ID")
STUDY_UID = Code("110180", "Study Instance UID")
NODE_ID = Code("110182", "Node ID")
PATIENT_NUMBER = Code("2", "Patient Number")
LOG_URI = Code("12", "URI")
PERSON, SYSTEM_OBJECT = "1", "2"
PATIENT, REPORT, SECURITY_RESOURCE = "1", "3", "13"


def of_event(told: ToldEvent, us: str) -> AuditMessage:
    """Return the message of an event: images that came whole, an object about to be sent, taken, or refused.

    ``us`` is our AE title.
    """
    ours = Participant(told.who, not told.destination, None, us)
    if told.destination is None:
        senders = [Participant(ae, False, SOURCE, ae) for ae in told.senders]
        received = Participant(told.who, True, DESTINATION, us)
        return AuditMessage(TRANSFERRED, CREATE, told.at, SUCCESS, [*senders, received], _things(told))
    sent = Participant(ours.user_id, True, SOURCE, us)
    taker = _archive(told.destination)
    if told.to_state == "pending":
        return AuditMessage(BEGIN_TRANSFERRING, EXECUTE, told.at, SUCCESS, [sent, taker], _things(told))
    outcome = SERIOUS_FAILURE if told.to_state == "failed" else SUCCESS
    return AuditMessage(TRANSFERRED, CREATE, told.at, outcome, [sent, taker], _things(told), said=told.code)


def _archive(url: str) -> Participant:
    parts = urlsplit(url)
    ae_title = parts.username if parts.scheme.startswith("dicom") else None
    where = (parts.hostname or "", BY_NAME) if ae_title else (f"{parts.scheme}://{parts.hostname}", BY_URI)
    return Participant(ae_title or parts.hostname or url, False, DESTINATION, ae_title, where)


def _things(told: ToldEvent) -> list[Thing]:
    instances = tuple(Instances(count, sop_class, sop_uids) for sop_class, count, sop_uids in told.instances)
    study = Thing(told.study_uid, STUDY_UID, SYSTEM_OBJECT, REPORT, instances)
    return [study, Thing(told.patient_id or "", PATIENT_NUMBER, PERSON, PATIENT)]


def of_notice(notice: Notice) -> AuditMessage:
    """Return the message of what a process noted of itself."""
    own = Participant(notice.who, False, APPLICATION)
    if notice.kind in {STARTED, STOPPED}:
        kind = APPLICATION_START if notice.kind == STARTED else APPLICATION_STOP
        return AuditMessage(APPLICATION_ACTIVITY, EXECUTE, notice.at, SUCCESS, [own], event_type=kind)
    if notice.kind == AUDIT_USED:
        log = Thing("scleroscan:audit", LOG_URI, SYSTEM_OBJECT, SECURITY_RESOURCE)
        return AuditMessage(AUDIT_LOG_USED, READ, notice.at, SUCCESS, [Participant(notice.who, True)], [log])
    assert notice.kind == CALLER_REFUSED  # noqa: S101  the only one that is left
    address = notice.facts.get("address", "")
    caller = Participant(
        notice.facts.get("calling_ae", ""), True, None, notice.facts.get("calling_ae", ""), (address, BY_ADDRESS)
    )
    node = Thing(address, NODE_ID, SYSTEM_OBJECT, SECURITY_RESOURCE)
    return AuditMessage(
        event=SECURITY_ALERT,
        action=EXECUTE,
        at=notice.at,
        outcome=MINOR_FAILURE,
        participants=[own, caller],
        things=[node],
        event_type=NODE_AUTHENTICATION,
        said=notice.facts.get("why"),
    )
