"""Checks that the files of a job belong together: to one series of one study of one patient."""

import warnings
from collections.abc import Sequence

from worker.errors import InputRejected
from worker.reading import headers
from worker.reading.headers import SourceFile


def require_one(files: Sequence[SourceFile]) -> None:
    """Refuse files that do not belong together; files that are no slices are compared too.

    Names and birth dates are not compared: hospitals write them in several ways for one patient.

    Raises
    ------
    InputRejected
        ``mixed_series``, ``several_studies``, ``several_patients``.
    """
    _require_one_series(files)
    _require_one_study(files)
    _require_one_patient(files)


def _require_one_series(files: Sequence[SourceFile]) -> None:
    uids = _values(files, "SeriesInstanceUID")
    if len(uids) > 1:
        raise InputRejected(
            f"The files belong to {len(uids)} series; measure one at a time.",
            code="mixed_series",
            detail={"series": len(uids)},
        )


def _require_one_study(files: Sequence[SourceFile]) -> None:
    uids = _values(files, "StudyInstanceUID")
    if len(uids) > 1:
        raise InputRejected(
            f"The images of the series name {len(uids)} studies; send it again as a series of one study.",
            code="several_studies",
            detail={"studies": len(uids), "received": len(files)},
        )


def _require_one_patient(files: Sequence[SourceFile]) -> None:
    patients = _values(files, "PatientID")
    # An image that names no issuer contradicts none; two issuers may give the same number to two patients.
    issuers = _values(files, "IssuerOfPatientID") - {""}
    if len(patients) > 1 or len(issuers) > 1:
        raise InputRejected(
            "The images of the series do not name one and the same patient; "
            "send every image again with the right identity.",
            code="several_patients",
            detail={"patients": len(patients), "issuers": len(issuers), "received": len(files)},
        )


def _values(files: Sequence[SourceFile], keyword: str) -> set[str]:
    with warnings.catch_warnings():
        # A malformed value has been logged when the header was decoded; it need not be logged twice.
        warnings.simplefilter("ignore")
        return {headers.text(file.header, keyword) for file in files}
