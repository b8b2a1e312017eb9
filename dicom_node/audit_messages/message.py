"""A DICOM audit message as a value, and its XML by the schema of PS3.15 A.5.1."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import Element, SubElement, tostring

DCM = "DCM"
SUCCESS, MINOR_FAILURE, SERIOUS_FAILURE = "0", "4", "8"
CREATE, READ, EXECUTE = "C", "R", "E"
BY_NAME, BY_ADDRESS, BY_URI = "1", "2", "5"
APPLICATION_SERVER = "4"
# What no XML 1.0, or no line, can hold (XML 1.0 2.2); a header may.
NOT_IN_XML = dict.fromkeys([*range(0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\N{REPLACEMENT CHARACTER}")


@dataclass(frozen=True)
class Code:
    """A coded value of DCM (PS3.16 Annex D)."""

    value: str
    meaning: str


@dataclass(frozen=True)
class Participant:
    """Who took part: a process, an application entity, an operator."""

    user_id: str
    is_requestor: bool
    role: Code | None = None
    ae_titles: str | None = None
    access_point: tuple[str, str] | None = None


@dataclass(frozen=True)
class Instances:
    """How many objects of a class; their UIDs where they are few."""

    count: int
    sop_class: str | None = None
    sop_uids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Thing:
    """What it was about: ``type_code`` 1 is a person, 2 a system object; ``role`` is of PS3.15 A.5.1.2.2."""

    id: str
    id_code: Code
    type_code: str
    role: str
    instances: tuple[Instances, ...] = ()


@dataclass(frozen=True)
class AuditMessage:
    """One message; ``said`` is why it failed, where it did."""

    event: Code
    action: str
    at: datetime
    outcome: str
    participants: Sequence[Participant]
    things: Sequence[Thing] = ()
    event_type: Code | None = None
    said: str | None = None


def xml(message: AuditMessage, source: str) -> bytes:
    """Return the XML of a message; ``source`` names the site's machine."""
    root = Element("AuditMessage")
    _event(root, message)
    for participant in message.participants:
        _participant(root, participant)
    told_by = SubElement(root, "AuditSourceIdentification", AuditSourceID=source)
    SubElement(told_by, "AuditSourceTypeCode", {"csd-code": APPLICATION_SERVER})
    for thing in message.things:
        _thing(root, thing)
    # On one line: syslog servers take the end of a line for that of a message, or escape it.
    written = tostring(root, encoding="unicode").translate(NOT_IN_XML)
    return f'<?xml version="1.0" encoding="UTF-8"?>{written}'.encode()


def _event(root: Element, message: AuditMessage) -> None:
    happened = {
        "EventActionCode": message.action,
        "EventDateTime": message.at.isoformat(timespec="milliseconds"),
        "EventOutcomeIndicator": message.outcome,
    }
    event = SubElement(root, "EventIdentification", happened)
    _coded(event, "EventID", message.event)
    if message.event_type is not None:
        _coded(event, "EventTypeCode", message.event_type)
    if message.said is not None:
        SubElement(event, "EventOutcomeDescription").text = message.said


def _participant(root: Element, one: Participant) -> None:
    fields = {"UserID": one.user_id, "UserIsRequestor": str(one.is_requestor).lower()}
    if one.ae_titles is not None:
        fields["AlternativeUserID"] = f"AETITLES={one.ae_titles}"
    if one.access_point is not None:
        fields["NetworkAccessPointID"], fields["NetworkAccessPointTypeCode"] = one.access_point
    made = SubElement(root, "ActiveParticipant", fields)
    if one.role is not None:
        _coded(made, "RoleIDCode", one.role)


def _thing(root: Element, one: Thing) -> None:
    fields = {
        "ParticipantObjectID": one.id,
        "ParticipantObjectTypeCode": one.type_code,
        "ParticipantObjectTypeCodeRole": one.role,
    }
    made = SubElement(root, "ParticipantObjectIdentification", fields)
    _coded(made, "ParticipantObjectIDTypeCode", one.id_code)
    # The schema wants a name: of a patient no more is told than the ID.
    SubElement(made, "ParticipantObjectName").text = one.id
    if one.instances:
        described = SubElement(made, "ParticipantObjectDescription")
        for some in one.instances:
            of_class = {"UID": some.sop_class} if some.sop_class else {}
            listed = SubElement(described, "SOPClass", of_class | {"NumberOfInstances": str(some.count)})
            for sop_uid in some.sop_uids:
                SubElement(listed, "Instance", UID=sop_uid)


def _coded(parent: Element, name: str, code: Code) -> None:
    fields = {"csd-code": code.value, "codeSystemName": DCM, "originalText": code.meaning}
    SubElement(parent, name, fields)
