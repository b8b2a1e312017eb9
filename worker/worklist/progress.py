"""What a performer says of an item (PS3.4 Table CC.2.5-3): that it has begun, what came of it, or why nothing did."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydicom import Dataset

from db.address import ApplicationEntity
from worker.delivery.dicom_file import DicomFile
from worker.destinations import Destination
from worker.worklist_section import Code

TEXT = 10_240


@dataclass(frozen=True)
class Output:
    """A delivered object and the destinations that have it."""

    file: DicomFile
    destinations: tuple[Destination, ...]


@dataclass(frozen=True)
class Performed:
    """A step that was performed: by whom, what, from when to when."""

    station: Code
    workitem: Code
    begun: datetime
    ended: datetime
    description: str


def begun() -> Dataset:
    """Return the progress of an item that was just claimed."""
    return _progress(0, "claimed")


def performed(step: Performed, outputs: Iterable[Output]) -> Dataset:
    """Return what has to be said before an item can be COMPLETED."""
    told = _progress(100, "every object is delivered")
    one = Dataset()
    one.PerformedStationNameCodeSequence = [_coded(step.station)]
    one.PerformedWorkitemCodeSequence = [_coded(step.workitem)]
    one.PerformedProcedureStepStartDateTime = _time(step.begun)
    one.PerformedProcedureStepEndDateTime = _time(step.ended)
    one.PerformedProcedureStepDescription = step.description
    one.OutputInformationSequence = references(outputs)
    told.UnifiedProcedureStepPerformedProcedureSequence = [one]
    return told


def canceled(reason: Code, text: str, now: datetime) -> Dataset:
    """Return what has to be said before an item can be CANCELED."""
    told = Dataset()
    one = Dataset()
    one.ProcedureStepCancellationDateTime = _time(now)
    one.ReasonForCancellation = text[:TEXT]
    one.ProcedureStepDiscontinuationReasonCodeSequence = [_coded(reason)]
    told.ProcedureStepProgressInformationSequence = [one]
    return told


def references(outputs: Iterable[Output]) -> list[Dataset]:
    """Return an item for each series of objects, with where they can be had (PS3.3 Table 10-3b)."""
    by_series: dict[tuple[str, str], list[Output]] = {}
    for one in outputs:
        by_series.setdefault((one.file.study_uid, one.file.series_uid), []).append(one)
    return [_reference(study_uid, series_uid, some) for (study_uid, series_uid), some in by_series.items()]


def _reference(study_uid: str, series_uid: str, outputs: Sequence[Output]) -> Dataset:
    one = Dataset()
    one.TypeOfInstances = "DICOM"
    one.StudyInstanceUID, one.SeriesInstanceUID = study_uid, series_uid
    one.ReferencedSOPSequence = [_instance(output.file) for output in outputs]
    places = list(dict.fromkeys(place for output in outputs for place in output.destinations))
    entities = [_entity(place) for place in places if place.is_dicom]
    urls = [_url(place, study_uid, series_uid) for place in places if place.is_web]
    if entities:
        one.DICOMRetrievalSequence = entities
    if urls:
        one.WADORSRetrievalSequence = urls
    return one


def _instance(file: DicomFile) -> Dataset:
    one = Dataset()
    one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = file.sop_class, file.sop_uid
    return one


def _entity(place: Destination) -> Dataset:
    one = Dataset()
    one.RetrieveAETitle = ApplicationEntity.parse_url(place.url).ae_title
    return one


def _url(place: Destination, study_uid: str, series_uid: str) -> Dataset:
    one = Dataset()
    one.RetrieveURL = f"{place.web_url}/studies/{study_uid}/series/{series_uid}"
    return one


def _progress(percent: int, description: str) -> Dataset:
    told = Dataset()
    one = Dataset()
    one.ProcedureStepProgress, one.ProcedureStepProgressDescription = percent, description
    told.ProcedureStepProgressInformationSequence = [one]
    return told


def _coded(code: Code) -> Dataset:
    one = Dataset()
    one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning = code.value, code.scheme, code.meaning
    return one


def _time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000")
