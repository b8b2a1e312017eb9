"""Asks a DICOMweb archive by QIDO-RS whether it has what it took (PS3.18 10.6)."""

import json
from collections.abc import Sequence
from typing import Any

from worker.delivery import verdicts
from worker.delivery.association import said_of
from worker.delivery.dicom_file import DicomFile
from worker.delivery.proof import Held
from worker.delivery.web_session import WebSession
from worker.errors import PeerUnreachable

SOP_INSTANCE_UID = "00080018"
OK, NO_CONTENT = 200, 204


def held(session: WebSession, files: Sequence[DicomFile]) -> Held:
    """Return which of the objects the archive has.

    Raises
    ------
    PeerUnreachable
        No answer, or one that cannot be read.
    PeerRefused
        It does not offer the query, or not to us.
    """
    return Held(frozenset(file.sop_uid for file in files if _has(session, file)))


def _has(session: WebSession, file: DicomFile) -> bool:
    path = f"/studies/{file.study_uid}/series/{file.series_uid}/instances?SOPInstanceUID={file.sop_uid}"
    answer = session.request("GET", path, {"Accept": "application/dicom+json"})
    if answer.status == NO_CONTENT:
        return False
    if answer.status != OK:
        raise said_of(session.url, verdicts.of_http(answer.status, answer.headers.get("retry-after")))
    try:
        matches: list[dict[str, Any]] = json.loads(answer.body) if answer.body else []
        return any(file.sop_uid in match[SOP_INSTANCE_UID]["Value"] for match in matches)
    except (ValueError, LookupError, TypeError) as error:
        raise PeerUnreachable(f"{session.url} did not answer QIDO-RS readably", code="broke_off") from error
