"""A report as FHIR R4: a transaction of a DiagnosticReport and its Observations, each made where there is none yet."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_OID, uuid5

from fhir.resources.R4B.bundle import Bundle
from pydantic import ValidationError

from worker.delivery.report import Coded, Group, Number, Report
from worker.errors import PeerRefused

# R4B is R4 with a few resources changed: of these two nothing (hl7.org/fhir/R4B/diff.html).
SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
    "99SCLEROSCAN": "https://scleroscan.invalid/codes",
}
UIDS = "urn:dicom:uid"
CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"
IDENTIFIERS = "http://terminology.hl7.org/CodeSystem/v2-0203"
PRELIMINARY = "preliminary"
Json = dict[str, Any]


def bundle(report: Report) -> str:
    """Return the transaction as JSON. Raises PeerRefused where the report makes none that is valid."""
    observations = [_observation(report, number, group) for number, group in enumerate(report.groups, 1)]
    entries = [_entry(one) for one in (*observations, _diagnostic_report(report, observations))]
    try:
        made = Bundle.model_validate({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    except ValidationError as error:
        raise PeerRefused(
            f"the report makes no valid FHIR: {error.error_count()} faults, first {error.errors()[0]['loc']}",
            code="unsendable_file",
        ) from error
    return str(made.model_dump_json(exclude_none=True))


def identifier(report: Report) -> str:
    """Return the identifier of the DiagnosticReport: the SR's UID, and so the same however often it is sent."""
    return f"urn:oid:{report.sop_uid}"


def _entry(resource: Json) -> Json:
    (known,) = resource["identifier"]
    # As in a URL: the number of an Observation stands behind a #, which would end the query.
    asked = f"identifier={quote(known['system'] + '|' + known['value'], safe=':|')}"
    request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": asked}
    return {"fullUrl": _full_url(known["value"]), "resource": resource, "request": request}


def _full_url(value: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_OID, value)}"


def _diagnostic_report(report: Report, observations: list[Json]) -> Json:
    study = {"type": "ImagingStudy", "identifier": {"system": UIDS, "value": f"urn:oid:{report.study_uid}"}}
    made = {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": UIDS, "value": identifier(report)}],
        "status": PRELIMINARY,
        "code": _concept(report.procedure),
        "subject": _subject(report),
        "issued": report.made_at.isoformat(),
        "imagingStudy": [study],
        "result": [{"reference": _full_url(one["identifier"][0]["value"])} for one in observations],
    }
    orders = list(_orders(report))
    said = "\n".join(report.remarks)
    return made | _when(report) | ({"basedOn": orders} if orders else {}) | ({"conclusion": said} if said else {})


def _orders(report: Report) -> Iterator[Json]:
    for kind, number in (("ACSN", report.accession_number), ("PLAC", report.placer_number)):
        if number:
            coded = {"coding": [{"system": IDENTIFIERS, "code": kind}]}
            yield {"type": "ServiceRequest", "identifier": {"type": coded, "value": number}}


def _subject(report: Report) -> Json:
    """Return the patient by the ID of the images: whose record that is the server knows."""
    known = {"type": {"coding": [{"system": IDENTIFIERS, "code": "MR"}]}, "value": report.patient_id or "unknown"}
    return {
        "type": "Patient",
        "identifier": known | ({"assigner": {"display": report.issuer}} if report.issuer else {}),
    }


def _when(report: Report) -> Json:
    try:
        return {"effectiveDateTime": datetime.strptime(report.study_at[:8], "%Y%m%d").strftime("%Y-%m-%d")}
    except ValueError:
        return {}


def _observation(report: Report, number: int, group: Group) -> Json:
    (_, site), *modifiers = group.places
    answers = [{"code": _concept(name), "valueCodeableConcept": _concept(value)} for name, value in group.answers]
    where = [{"code": _concept(name), "valueCodeableConcept": _concept(value)} for name, value in modifiers]
    return {
        "resourceType": "Observation",
        "identifier": [{"system": UIDS, "value": f"{identifier(report)}#{number}"}],
        "status": PRELIMINARY,
        "category": [{"coding": [{"system": CATEGORIES, "code": "imaging"}]}],
        "code": _concept(group.finding),
        "subject": _subject(report),
        "bodySite": _concept(site),
        "component": [*where, *(_component(one) for one in group.numbers), *answers],
    } | _when(report)


def _component(number: Number) -> Json:
    code = _concept(number.name)
    if number.derivation is not None:
        code["coding"].append(_coding(number.derived_name))
        code["text"] = number.derived_name.meaning
    unit = number.unit
    quantity = {"value": number.value, "unit": unit.meaning, "system": SYSTEMS["UCUM"], "code": unit.value}
    return {"code": code, "valueQuantity": quantity}


def _concept(code: Coded) -> Json:
    return {"coding": [_coding(code)]}


def _coding(code: Coded) -> Json:
    return {
        "system": SYSTEMS.get(code.scheme, f"urn:x-dicom:{code.scheme}"),
        "code": code.value,
        "display": code.meaning,
    }
