"""An SR read back as what other standards tell of it: whose, of which study, and what was measured (TID 1500)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.valuerep import PersonName

from worker.errors import PeerRefused
from worker.reading.headers import MALFORMED

IMAGING_MEASUREMENTS, MEASUREMENT_GROUP = "126010", "125007"
FINDING, CATEGORY, SITE, LATERALITY, ZONE = "121071", "276214006", "363698007", "272741003", "106233006"
DERIVATION, PROCEDURE_REPORTED, PARAMETERS = "121401", "121058", "111002"
PRIVATE_SCHEME = "99SCLEROSCAN"


@dataclass(frozen=True)
class Coded:
    """A code with the designator of its scheme, as DICOM writes it: SCT, DCM, LN, UCUM or ours."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Number:
    """A measured number as the report shows it, with its UCUM unit; ``derivation`` says how, as mean."""

    name: Coded
    derivation: Coded | None
    value: str
    unit: Coded

    @property
    def derived_name(self) -> Coded:
        """One code for name and derivation: other standards have no place for the second. Without one, the name."""
        if self.derivation is None:
            return self.name
        meaning = f"{self.name.meaning}, {self.derivation.meaning}"
        return Coded(f"{self.name.value}-{self.derivation.value}", PRIVATE_SCHEME, meaning)


@dataclass(frozen=True)
class Group:
    """What was measured of one finding in one place; ``answers`` are coded, as a category."""

    finding: Coded
    places: tuple[tuple[Coded, Coded], ...]
    numbers: tuple[Number, ...]
    answers: tuple[tuple[Coded, Coded], ...]


@dataclass(frozen=True)
class Report:
    """A report with its patient and order. Empty texts are not known."""

    sop_uid: str
    study_uid: str
    patient_id: str
    issuer: str
    patient_name: PersonName
    birth_date: str
    sex: str
    accession_number: str
    placer_number: str
    study_at: str
    made_at: datetime
    procedure: Coded
    remarks: tuple[str, ...]
    groups: tuple[Group, ...]
    replaces: tuple[str, ...]


def read(path: Path) -> Report:
    """Read an SR of ours. Raises PeerRefused for what is none."""
    try:
        return _of(dcmread(path))
    except (*MALFORMED, LookupError, AttributeError, FileNotFoundError) as error:
        raise PeerRefused(f"{path.name} is no report that could be sent", code="unsendable_file") from error


def _of(ds: Dataset) -> Report:
    content = list(ds.ContentSequence)
    groups = [
        one
        for part in content
        if _name(part) == IMAGING_MEASUREMENTS
        for one in part.ContentSequence
        if _name(one) == MEASUREMENT_GROUP
    ]
    return Report(
        sop_uid=str(ds.SOPInstanceUID),
        study_uid=str(ds.StudyInstanceUID),
        patient_id=str(ds.get("PatientID") or ""),
        issuer=str(ds.get("IssuerOfPatientID") or ""),
        patient_name=ds.get("PatientName") or PersonName(""),
        birth_date=str(ds.get("PatientBirthDate") or ""),
        sex=str(ds.get("PatientSex") or ""),
        accession_number=str(ds.get("AccessionNumber") or ""),
        placer_number=_placer_number(ds),
        study_at=f"{ds.get('StudyDate') or ''}{str(ds.get('StudyTime') or '')[:6]}",
        made_at=datetime.strptime(
            f"{ds.ContentDate}{str(ds.ContentTime)[:6]}{ds.get('TimezoneOffsetFromUTC') or '+0000'}", "%Y%m%d%H%M%S%z"
        ),
        procedure=next(_code(one) for one in content if _name(one) == PROCEDURE_REPORTED),
        remarks=tuple(dict.fromkeys(text for group in groups for text in _remarks(group))),
        groups=tuple(_group(group) for group in groups),
        replaces=tuple(_predecessors(ds)),
    )


def _placer_number(ds: Dataset) -> str:
    for request in ds.get("ReferencedRequestSequence") or ():
        if number := request.get("PlacerOrderNumberImagingServiceRequest"):
            return str(number)
    return ""


def _predecessors(ds: Dataset) -> Iterator[str]:
    for study in ds.get("PredecessorDocumentsSequence") or ():
        for series in study.ReferencedSeriesSequence:
            for one in series.ReferencedSOPSequence:
                yield str(one.ReferencedSOPInstanceUID)


def _group(group: Dataset) -> Group:
    items = list(group.ContentSequence)
    (finding,) = [_code(one) for one in items if _name(one) == FINDING]
    codes = [one for one in items if one.ValueType == "CODE" and _name(one) not in {FINDING, CATEGORY}]
    (site,) = [one for one in codes if _name(one) == SITE]
    within = [one for one in site.get("ContentSequence") or () if one.ValueType == "CODE"]
    return Group(
        finding=finding,
        places=tuple((_concept(one), _code(one)) for one in (site, *within)),
        numbers=tuple(_number(one) for one in items if one.ValueType == "NUM"),
        answers=tuple(
            (_concept(one), _code(one)) for one in codes if one is not site and one.RelationshipType == "CONTAINS"
        ),
    )


def _number(item: Dataset) -> Number:
    (measured,) = item.MeasuredValueSequence
    derived = [_code(one) for one in item.get("ContentSequence") or () if _name(one) == DERIVATION]
    unit = _coded(measured.MeasurementUnitsCodeSequence)
    return Number(_concept(item), derived[0] if derived else None, str(measured.NumericValue), unit)


def _remarks(group: Dataset) -> Iterator[str]:
    """Yield what is said of the model: the statement stands in the report, the digest is for machines."""
    for one in group.ContentSequence:
        if _name(one) == PARAMETERS and "sha256=" not in one.TextValue:
            yield str(one.TextValue)


def _name(item: Dataset) -> str:
    return _concept(item).value if "ConceptNameCodeSequence" in item else ""


def _concept(item: Dataset) -> Coded:
    return _coded(item.ConceptNameCodeSequence)


def _code(item: Dataset) -> Coded:
    return _coded(item.ConceptCodeSequence)


def _coded(sequence: Sequence[Dataset]) -> Coded:
    (code,) = sequence
    value = code.get("CodeValue") or code.LongCodeValue
    return Coded(str(value), str(code.CodingSchemeDesignator), str(code.CodeMeaning))
