"""Reads from the headers of a series whom and how it was scanned."""

import re

from pydicom import Dataset

from worker.reading import headers
from worker.reading.exam import Exam, Patient
from worker.reading.series import SourceSeries

DATES = ("Acquisition", "Series", "Study", "Content")


def read(source: SourceSeries) -> Exam:
    """Return what the lowest slice says; the thickness is the step between slices where none is given."""
    first = source.headers[0]
    return Exam(
        study_uid=source.study_uid,
        acquired=_acquired(first),
        patient=Patient(
            patient_id=headers.text(first, "PatientID"),
            issuer=headers.text(first, "IssuerOfPatientID"),
            name=_name(headers.text(first, "PatientName")),
            birth_date=headers.text(first, "PatientBirthDate"),
        ),
        kernel=source.convolution_kernel,
        thickness_mm=round(source.volume.slice_thickness_mm or source.volume.spacing_mm[0], 3),
        contrast=bool(headers.text(first, "ContrastBolusAgent")),
        position=headers.text(first, "PatientPosition"),
    )


def _acquired(header: Dataset) -> str:
    """Return date and time of the acquisition, or of the nearest thing to it that has a date."""
    for prefix in DATES:
        date = headers.text(header, f"{prefix}Date")
        if re.fullmatch(r"\d{8}", date):
            time = re.match(r"\d{6}", headers.text(header, f"{prefix}Time"))
            return date + (time.group() if time else "")
    return ""


def _name(name: str) -> str:
    """Return a name without what is written in several ways: case, and empty components at its end (PS3.5 6.2.1)."""
    return "=".join(group.rstrip("^ ") for group in name.upper().split("=")).rstrip("=")
