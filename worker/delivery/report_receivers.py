"""Those who take the report alone: an HL7 v2 receiver by MLLP, a FHIR server."""

import json
from pathlib import Path
from urllib.parse import quote

from worker.delivery import dicom_file, fhir_bundle, hl7_message, mllp, report, verdicts
from worker.delivery.association import said_of
from worker.delivery.proof import Finding, Held, Search
from worker.delivery.web_session import Answer, WebSession
from worker.destinations import Destination
from worker.errors import DeliveryFailed, PeerRefused, PeerUnreachable

FHIR_JSON = "application/fhir+json"
# Issue types of an OperationOutcome that are of the moment, whatever the HTTP status (hl7.org/fhir/R4 issue-type).
OF_THE_MOMENT = frozenset({"transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled"})
SERVERS_OWN = 500


class Hl7Receiver:
    """A receiver of ORU^R01; it acknowledges and cannot be asked."""

    def __init__(self, destination: Destination, calling: str) -> None:
        self._destination, self._calling = destination, calling

    def ask(self) -> None:
        """Open a connection: MLLP has no question that means nothing."""
        mllp.reach(self._destination)

    def store(self, path: Path) -> int:
        """Send the report and wait until it is acknowledged."""
        told = report.read(path)
        message = hl7_message.message(told, self._calling, self._destination.receiver)
        answer = mllp.exchange(self._destination, message)
        failure = hl7_message.read_acknowledgement(answer, hl7_message.control_id(told))
        if failure is not None:
            raise said_of(self._destination.url, failure)
        return 0

    def seek(self, search: Search) -> Finding:  # noqa: ARG002  as every archive has it
        """Tell that nobody can be asked: the acknowledgement is all there is."""
        raise PeerRefused(f"{self._destination.url} cannot be asked what it has", code="no_proof_offered")


class FhirServer:
    """A FHIR R4 server that takes transactions."""

    def __init__(self, destination: Destination) -> None:
        self._session = WebSession(destination)

    def ask(self) -> None:
        """Ask for its capabilities."""
        answer = self._session.request("GET", "/metadata", {"Accept": FHIR_JSON})
        self._require_success(answer)

    def store(self, path: Path) -> int:
        """Send report and observations in one transaction: all of it is taken, or nothing."""
        content = fhir_bundle.bundle(report.read(path)).encode()
        headers = {"Content-Type": FHIR_JSON, "Accept": FHIR_JSON, "Prefer": "return=minimal"}
        self._require_success(self._session.request("POST", "", headers, content))
        return 0

    def seek(self, search: Search) -> Finding:
        """Ask for each report by its identifier."""
        return Held(frozenset(one.sop_uid for one in search.files if self._has(one)))

    def _has(self, file: dicom_file.DicomFile) -> bool:
        asked = quote(f"{fhir_bundle.UIDS}|urn:oid:{file.sop_uid}", safe="")
        answer = self._session.request("GET", f"/DiagnosticReport?identifier={asked}", {"Accept": FHIR_JSON})
        self._require_success(answer)
        try:
            return bool(json.loads(answer.body).get("entry"))
        except (ValueError, AttributeError) as error:
            raise PeerUnreachable(f"{self._session.url} did not answer readably", code="broke_off") from error

    def _require_success(self, answer: Answer) -> None:
        if not 200 <= answer.status < 300:
            raise said_of(self._session.url, read_outcome(answer))


def read_outcome(answer: Answer) -> DeliveryFailed:
    """Return the failure that an answer stands for: its OperationOutcome may say that it is of the moment."""
    failure = verdicts.of_http(answer.status, answer.headers.get("retry-after"))
    issues = _issues(answer.body)
    if not failure.retry and issues & OF_THE_MOMENT:
        detail = {"http_status": answer.status, "issues": sorted(issues)}
        return PeerUnreachable(
            f"it cannot take the report now (HTTP {answer.status})", code="archive_busy", detail=detail
        )
    return type(failure)(str(failure), code=failure.code, detail=failure.detail | {"issues": sorted(issues)})


def _issues(body: bytes) -> frozenset[str]:
    try:
        return frozenset(str(issue["code"]) for issue in json.loads(body)["issue"])
    except (ValueError, LookupError, TypeError):
        return frozenset()
