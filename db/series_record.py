"""Reads all that is to be shown of one series: patient, numbers, files, deliveries, trail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.finding_tables import Measurement, QualityFlag
from db.series_status import SeriesStatus, Wanted, status
from db.tables import Delivery, Event, Instance, Job, Model, Output, Series, Study
from db.tracking.retention import Retention

NEWEST_EVENTS = 100
Place = tuple[str, str, str]


@dataclass(frozen=True)
class Patient:
    """Whom the current images of a series name."""

    patient_id: str
    name: str


@dataclass(frozen=True)
class SentObject:
    """One object and how far it is with one destination."""

    kind: str
    delivery: Delivery


@dataclass(frozen=True)
class SeriesRecord:
    """One series. ``numbers`` are those of its job by (region, side, quantity), of whole lungs.

    ``events`` are the newest :data:`NEWEST_EVENTS`, newest first; ``jobs`` all of the series with the version of their
    model, newest first.
    """

    status: SeriesStatus
    study: Study
    first_arrival_at: datetime
    patients: tuple[Patient, ...]
    numbers: Mapping[Place, float]
    flags: Mapping[str, str]
    outputs: Sequence[Output]
    sent: Sequence[SentObject]
    events: Sequence[Event]
    jobs: Sequence[tuple[Job, str]]


def series_record(session: Session, series_uid: str, retention: Retention) -> SeriesRecord | None:
    """Return what is known of a series; None where it is unknown."""
    found = status(session, retention=retention, wanted=Wanted(series_uid))
    if not found:
        return None
    (own,) = found
    series = session.get_one(Series, series_uid)
    events = select(Event).where(Event.series_uid == series_uid).order_by(Event.sequence.desc()).limit(NEWEST_EVENTS)
    jobs = select(Job, Model.version).outerjoin(Model, Model.digest == Job.model_digest)
    record = SeriesRecord(
        status=own,
        study=session.get_one(Study, series.study_uid),
        first_arrival_at=series.first_arrival_at,
        patients=_patients(session, series_uid),
        numbers=_numbers(session, own.job_id),
        flags={flag.code: flag.text for flag in _of_job(session, QualityFlag, own.job_id, QualityFlag.code)},
        outputs=_of_job(session, Output, own.job_id, Output.id),
        sent=_sent(session, own.job_id),
        events=session.scalars(events).all(),
        jobs=[
            (job, version or "–")
            for job, version in session.execute(jobs.where(Job.series_uid == series_uid).order_by(Job.id.desc()))
        ],
    )
    # What was read outlives the transaction, as it was.
    session.expunge_all()
    return record


def _patients(session: Session, series_uid: str) -> tuple[Patient, ...]:
    named = select(Instance.patient_id, Instance.patient_name).distinct()
    rows = session.execute(named.where(Instance.series_uid == series_uid, Instance.replaced_at.is_(None)))
    return tuple(sorted((Patient(*row) for row in rows), key=lambda one: (one.patient_id, one.name)))


def _of_job(session: Session, table: Any, job_id: int | None, order: Any) -> Sequence[Any]:
    return session.scalars(select(table).where(table.job_id == job_id).order_by(order)).all()


def _numbers(session: Session, job_id: int | None) -> dict[Place, float]:
    whole = select(Measurement).where(Measurement.job_id == job_id, Measurement.zone == "whole")
    return {(one.region, one.side, one.quantity): one.value for one in session.scalars(whole)}


def _sent(session: Session, job_id: int | None) -> list[SentObject]:
    query = select(Delivery, Output.kind).join(Output, Output.id == Delivery.output_id)
    rows = session.execute(query.where(Delivery.job_id == job_id).order_by(Delivery.destination, Delivery.id))
    return [SentObject(kind, delivery) for delivery, kind in rows]
