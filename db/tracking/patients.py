"""Notes which patient the images of a series name: corrections and contradictions, in rows and never in a log."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Instance, Series, Study
from db.tracking.events import Change, append

STUDY_CONFLICT, IDENTITY_CONFLICT = "study_conflict", "identity_conflict"
SEVERAL_PATIENTS, PATIENT_CONFLICT, PATIENT_CORRECTED = "several_patients", "patient_conflict", "patient_corrected"


@dataclass(frozen=True, order=True)
class Identity:
    """The patient and accession number that the header of an image names."""

    patient_id: str
    patient_name: str
    accession_number: str


def said(session: Session, series_uid: str) -> frozenset[Identity]:
    """Return the identities that the current images of a series name, those removed after their retention included."""
    columns = Instance.patient_id, Instance.patient_name, Instance.accession_number
    current = Instance.series_uid == series_uid, Instance.replaced_at.is_(None)
    return frozenset(Identity(*row) for row in session.execute(select(*columns).where(*current).distinct()))


def note_strangers(session: Session, series: Series, other_study_uid: str, sop_uids: Sequence[str], at: Change) -> None:
    """Note images that name the series but another study than it belongs to."""
    detail = {"sop_uids": list(sop_uids), "study_uid": series.study_uid, "other_study_uid": other_study_uid}
    _note(session, series, replace(at, code=STUDY_CONFLICT, detail=detail))


def note_conflicts(session: Session, series: Series, calling_ae: str, sop_uids: Sequence[str], at: Change) -> None:
    """Note images of a sender that name another patient than the series, where nobody may correct one."""
    detail = {"sop_uids": list(sop_uids), "calling_ae": calling_ae}
    _note(session, series, replace(at, code=IDENTITY_CONFLICT, detail=detail))


def compare(session: Session, series: Series, before: frozenset[Identity], at: Change) -> None:
    """Compare the patient that a series names with the one before, and note corrections and conflicts.

    Where all current images, by being sent again, agree on another patient, that is a correction, and the study row is
    changed too. A new series corrects nothing: if it names another patient than its study, that is a conflict.
    """
    named = said(session, series.uid)
    patients, patients_before = ({one.patient_id for one in some} for some in (named, before))
    if len(patients) > 1 and patients != patients_before:
        _note(session, series, replace(at, code=SEVERAL_PATIENTS, detail={"patient_ids": sorted(patients)}))
    elif not before and len(patients) == 1:
        _compare_with_study(session, series, patients.pop(), at)
    elif len(named) == 1 and named != before:
        _correct(session, series, before - named, next(iter(named)), at)


def _compare_with_study(session: Session, series: Series, patient_id: str, at: Change) -> None:
    study = session.get_one(Study, series.study_uid)
    if patient_id != study.patient_id:
        detail = {"patient_id": patient_id, "study_patient_id": study.patient_id}
        _note(session, series, replace(at, code=PATIENT_CONFLICT, detail=detail))


def _correct(session: Session, series: Series, former: frozenset[Identity], named: Identity, at: Change) -> None:
    study = session.get_one(Study, series.study_uid, with_for_update=True, populate_existing=True)
    study_said = Identity(study.patient_id, study.patient_name, study.accession_number)
    study.patient_id, study.patient_name = named.patient_id, named.patient_name
    study.accession_number = named.accession_number
    detail = {"from": [asdict(one) for one in sorted(former)], "to": asdict(named), "study": asdict(study_said)}
    _note(session, series, replace(at, code=PATIENT_CORRECTED, detail=detail))


def _note(session: Session, series: Series, change: Change) -> None:
    append(session, series, (series.state, series.state), change)
