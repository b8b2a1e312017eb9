"""A report as HL7 v2.5.1 ORU^R01, and what an acknowledgement says of it."""

import hashlib
from collections.abc import Iterator
from typing import Any

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message, Segment
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

from worker.delivery.report import Coded, Group, Report
from worker.errors import DeliveryFailed, PeerRefused, PeerUnreachable

VERSION, STRUCTURE = "2.5.1", "ORU_R01"
# Nobody has verified it: P, preliminary (HL7 tables 0085 and 0123).
PRELIMINARY = "P"
SEXES = {"M": "M", "F": "F", "O": "O"}
ACCEPTED, ERROR, REJECTED = frozenset({"AA", "CA"}), frozenset({"AE", "CE"}), frozenset({"AR", "CR"})
# HL7 table 0357: the receiver has it already, or says something of the moment.
DUPLICATE_KEY, OF_THE_MOMENT = "205", frozenset({"206", "207"})
FINDING = Coded("121071", "DCM", "Finding")
# Control characters are blanks: some of them are the frame of MLLP.
CONTROLS: dict[int, str] = dict.fromkeys(range(0x20), " ")
ESCAPES = CONTROLS | str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})


def control_id(report: Report) -> str:
    """Return MSH-10, the same however often a report is sent: 20 characters are what it may have."""
    return hashlib.sha256(report.sop_uid.encode()).hexdigest()[:20].upper()


def message(report: Report, sender: str, receiver: str) -> str:
    """Return the message. Raises PeerRefused where the report makes none that is valid."""
    try:
        made = Message(STRUCTURE, version=VERSION, validation_level=VALIDATION_LEVEL.STRICT)
        _header(made.msh, report, (sender, receiver))
        result = made.add_group("ORU_R01_PATIENT_RESULT")
        _patient(result.add_group("ORU_R01_PATIENT").add_segment("PID"), report)
        order = result.add_group("ORU_R01_ORDER_OBSERVATION")
        _request(order.add_segment("OBR"), report)
        for number, (sub_id, fields) in enumerate(_observations(report), 1):
            observed = order.add_group("ORU_R01_OBSERVATION").add_segment("OBX")
            _fill(observed, {1: str(number), 4: sub_id, 11: PRELIMINARY} | fields)
        made.validate()
        return str(made.to_er7())
    except (HL7apyException, ValueError) as error:
        # Of the error the kind alone: its text repeats the value, which may be a patient's name.
        raise PeerRefused(
            f"the report makes no valid ORU^R01 ({type(error).__name__})", code="unsendable_file"
        ) from error


def _header(msh: Segment, report: Report, between: tuple[str, str]) -> None:
    sender, receiver = between
    made_at = report.made_at.strftime("%Y%m%d%H%M%S%z")
    fields = {3: sender, 5: receiver, 7: made_at, 9: "ORU^R01^ORU_R01", 10: control_id(report), 11: "P", 12: VERSION}
    _fill(msh, fields | {18: "UNICODE UTF-8"})


def _patient(pid: Segment, report: Report) -> None:
    name = report.patient_name
    parts = (name.family_name, name.given_name, name.middle_name, name.name_suffix, name.name_prefix)
    fields = {
        1: "1",
        3: f"{_escaped(report.patient_id)}^^^{_escaped(report.issuer)}^MR",
        5: "^".join(_escaped(part) for part in parts),
        7: report.birth_date,
        8: SEXES.get(report.sex, "U"),
    }
    _fill(pid, fields)


def _request(obr: Segment, report: Report) -> None:
    placed = report.placer_number or report.accession_number
    fields = {
        1: "1",
        2: _escaped(placed),
        3: f"{report.sop_uid}^SCLEROSCAN",
        4: _coded(report.procedure),
        7: report.study_at,
        18: _escaped(report.accession_number),
        22: report.made_at.strftime("%Y%m%d%H%M%S%z"),
        25: PRELIMINARY,
    }
    _fill(obr, fields)


def _observations(report: Report) -> Iterator[tuple[str, dict[int, str]]]:
    """Yield (OBX-4, fields): what belongs to one finding in one place has one sub-ID, its finding and place first."""
    for sub_id, group in enumerate(report.groups, 1):
        for fields in _of_group(group):
            yield str(sub_id), fields
    study = Coded("110180", "DCM", "Study Instance UID")
    yield str(len(report.groups) + 1), {2: "ST", 3: _coded(study), 5: report.study_uid}
    for remark in report.remarks:
        said = Coded("121106", "DCM", "Comment")
        yield str(len(report.groups) + 1), {2: "TX", 3: _coded(said), 5: _escaped(remark)}


def _of_group(group: Group) -> Iterator[dict[int, str]]:
    for name, value in ((FINDING, group.finding), *group.places):
        yield {2: "CWE", 3: _coded(name), 5: _coded(value)}
    for number in group.numbers:
        yield {2: "NM", 3: _coded(number.derived_name), 5: number.value, 6: f"{_escaped(number.unit.value)}^^UCUM"}
    for name, value in group.answers:
        yield {2: "CWE", 3: _coded(name), 5: _coded(value)}


def _coded(code: Coded) -> str:
    return f"{_escaped(code.value)}^{_escaped(code.meaning)}^{code.scheme}"


def _escaped(text: str) -> str:
    """Return a text without what separates, ends a line or ends a message (HL7 v2.5.1 2.7.1)."""
    return text.translate(ESCAPES)


def _fill(segment: Any, fields: dict[int, str]) -> None:
    for number, value in fields.items():
        if value:
            setattr(segment, f"{segment.name.lower()}_{number}", value)


def read_acknowledgement(text: str, sent_id: str) -> DeliveryFailed | None:
    """Return the failure that an acknowledgement stands for; None where the report was taken.

    AE says something of the message and AR of the receiver, unless an error code (ERR-3) says more.
    """
    try:
        said = parse_message(text.replace("\n", "\r"), find_groups=False)
        code, of_id = said.msa.msa_1.to_er7(), said.msa.msa_2.to_er7()
        errors = [error.err_3.to_er7().split("^")[0] for error in said.err] if said.err else []
    except (HL7apyException, ValueError, AttributeError, IndexError) as error:
        # Its text repeats what was sent back, which may be of the patient.
        kind = type(error).__name__
        return PeerUnreachable("it does not acknowledge readably", code="broke_off", detail={"error": kind})
    if of_id != sent_id:
        return PeerUnreachable("it acknowledges another message", code="broke_off")
    if code in ACCEPTED or DUPLICATE_KEY in errors:
        return None
    detail = {"acknowledgement": code, "errors": errors}
    if OF_THE_MOMENT & set(errors) or (code in REJECTED and not errors):
        return PeerUnreachable(f"it cannot take the report now ({code})", code="archive_busy", detail=detail)
    return PeerRefused(f"it refused the report ({code} {' '.join(errors)})", code="report_refused", detail=detail)
