"""A work item as the worklist writes it: whether it is ours, who asks for it, and which images it names."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID

from db.tracking import AskedWork
from worker.reading.headers import MALFORMED
from worker.worklist_section import Code, Worklist

PRIORITIES = ("HIGH", "MEDIUM", "LOW")


@dataclass(frozen=True)
class Input:
    """A series that is to be measured: its named images, and the AE titles and URLs where they are said to lie."""

    study_uid: str
    series_uid: str
    sop_uids: tuple[str, ...]
    places: tuple[str, ...]


def datasets(body: bytes) -> list[Dataset]:
    """Return the data sets of an answer in DICOM JSON (PS3.18 F). Raises ValueError where it has none that is read."""
    said = json.loads(body) if body.strip() else []
    try:
        return [Dataset.from_json(one) for one in (said if isinstance(said, list) else [said])]
    except MALFORMED as error:
        raise ValueError(str(error)) from error


def uid_of(item: Dataset) -> str | None:
    """Return the UID of an item; None where it is none that can stand in a URL."""
    uid = UID(str(item.get("SOPInstanceUID", "")))
    return str(uid) if uid.is_valid else None


def rank(item: Dataset) -> tuple[int, str]:
    """Return what items are taken by: their priority, then when they are scheduled."""
    priority = str(item.get("ScheduledProcedureStepPriority", "MEDIUM"))
    start = str(item.get("ScheduledProcedureStepStartDateTime", ""))
    return PRIORITIES.index(priority) if priority in PRIORITIES else len(PRIORITIES), start


def is_ours(item: Dataset, worklist: Worklist) -> bool:
    """Whether an item may be claimed: servers pass over matching keys that they do not know."""
    label = worklist.label in {None, item.get("WorklistLabel")}
    station = _has_code(item.get("ScheduledStationNameCodeSequence"), worklist.station)
    workitem = _has_code(item.get("ScheduledWorkitemCodeSequence"), worklist.workitem)
    is_free = item.get("ProcedureStepState") == "SCHEDULED" and item.get("InputReadinessState") == "READY"
    return is_free and label and station and workitem


def _has_code(sequence: Sequence[Dataset] | None, wanted: Code | None) -> bool:
    if wanted is None:
        return True
    codes = {(one.get("CodeValue"), one.get("CodingSchemeDesignator")) for one in sequence or ()}
    return (wanted.value, wanted.scheme) in codes


def asked_work(uid: str, item: Dataset, worklist_url: str) -> AskedWork:
    """Return what an item asks for. Raises ValueError where its attributes make no sense."""
    try:
        request = next(iter(item.get("ReferencedRequestSequence") or ()), Dataset())
        codes = item.get("ScheduledWorkitemCodeSequence") or ()
        return AskedWork(
            uid=uid,
            worklist=worklist_url,
            label=str(item.get("ProcedureStepLabel") or ""),
            requester=_first(request, "RequestingService", "RequestingPhysician"),
            order_number=_first(request, "PlacerOrderNumberImagingServiceRequest", "AccessionNumber"),
            asked={
                "inputs": [asdict(_input(one)) for one in item.get("InputInformationSequence") or () if _is_dicom(one)],
                "workitem": next((_code(one) for one in codes), None),
            },
        )
    except MALFORMED as error:
        raise ValueError(str(error)) from error


def inputs_of(asked: dict[str, Any]) -> tuple[Input, ...]:
    """Return the series that an item names, as its row has them."""
    return tuple(
        Input(one["study_uid"], one["series_uid"], tuple(one["sop_uids"]), tuple(one["places"]))
        for one in asked["inputs"]
    )


def _is_dicom(one: Dataset) -> bool:
    return all(UID(str(one.get(name, ""))).is_valid for name in ("StudyInstanceUID", "SeriesInstanceUID"))


def _input(one: Dataset) -> Input:
    named = [str(image.ReferencedSOPInstanceUID) for image in one.get("ReferencedSOPSequence") or ()]
    entities = [str(place.RetrieveAETitle) for place in one.get("DICOMRetrievalSequence") or ()]
    urls = [str(place.RetrieveURL) for place in one.get("WADORSRetrievalSequence") or ()]
    return Input(str(one.StudyInstanceUID), str(one.SeriesInstanceUID), tuple(named), (*entities, *urls))


def _first(request: Dataset, *keywords: str) -> str:
    return next((str(value) for keyword in keywords if (value := request.get(keyword))), "")


def _code(one: Dataset) -> dict[str, str]:
    return {
        "value": str(one.CodeValue),
        "scheme": str(one.CodingSchemeDesignator),
        "meaning": str(one.get("CodeMeaning") or ""),
    }
