"""Sends by STOW-RS (PS3.18 10.5), one object a request, and reads what the archive says of it."""

import json
from typing import Any
from uuid import uuid4

from worker.delivery import verdicts
from worker.delivery.association import said_of
from worker.delivery.dicom_file import DicomFile
from worker.delivery.web_session import Answer, WebSession
from worker.errors import DeliveryFailed

FAILED_SOPS, REFERENCED_SOPS, OTHER_FAILURES = "00081198", "00081199", "0008119A"
SOP_INSTANCE, FAILURE_REASON, WARNING_REASON = "00081155", "00081197", "00081196"
OK, ACCEPTED, CONFLICT = 200, 202, 409
# A warning without a reason, as after coercion (PS3.4 Table B.2-1).
COERCED = 0xB000
PROCESSING_FAILURE = 0x0110


def store(session: WebSession, file: DicomFile) -> int:
    """Send an object and return 0, or the warning with which it was taken.

    Raises
    ------
    PeerUnreachable
        No answer, or one that says something of the moment; sending it again is safe.
    PeerRefused
        The archive said no for good.
    """
    limiter = uuid4().hex
    head = f"--{limiter}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={limiter}',
        "Accept": "application/dicom+json",
    }
    body = head + file.path.read_bytes() + f"\r\n--{limiter}--\r\n".encode()
    answer = session.request("POST", "/studies", headers, body)
    outcome = read_answer(answer, file.sop_uid)
    if isinstance(outcome, DeliveryFailed):
        raise said_of(session.url, outcome)
    return outcome


def read_answer(answer: Answer, sop_uid: str) -> int | DeliveryFailed:
    """Return what an answer says of one instance: the status with which it was taken, or the failure.

    The sequences of the answer count more than the HTTP status: archives send 200, 202 or 409 with either.
    """
    if answer.status not in {OK, ACCEPTED, CONFLICT}:
        return verdicts.of_http(answer.status, answer.headers.get("retry-after"))
    said = _said(answer.body)
    failed = _reason(said, FAILED_SOPS, sop_uid, FAILURE_REASON, PROCESSING_FAILURE)
    if failed is None and OTHER_FAILURES in said:
        failed = _first(said[OTHER_FAILURES], FAILURE_REASON, PROCESSING_FAILURE)
    if failed is not None:
        return verdicts.of_store(failed) or failed
    if answer.status == CONFLICT:
        return verdicts.of_http(CONFLICT)
    taken = _reason(said, REFERENCED_SOPS, sop_uid, WARNING_REASON, 0)
    return taken or (COERCED if answer.status == ACCEPTED else 0)


def _said(body: bytes) -> dict[str, Any]:
    """Return the data set of an answer, empty where there is none or it is written in another way than asked for."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    first = said[0] if isinstance(said, list) and said else said
    return first if isinstance(first, dict) else {}


def _reason(said: dict[str, Any], sequence: str, sop_uid: str, keyword: str, otherwise: int) -> int | None:
    """Return the reason in the item of one instance; None where it has no item."""
    for item in _values(said.get(sequence)):
        if sop_uid in _values(item.get(SOP_INSTANCE) if isinstance(item, dict) else None):
            return _first({"Value": [item]}, keyword, otherwise)
    return None


def _first(element: Any, keyword: str, otherwise: int) -> int:
    for item in _values(element):
        for value in _values(item.get(keyword) if isinstance(item, dict) else None):
            if str(value).isdecimal():
                return int(value)
    return otherwise


def _values(element: Any) -> list[Any]:
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []
