"""The hash of the row that an event is about, as it was then: it stands in the event, and so in the chain.

Left out is what changes without an event: leases, schedules and attempts; and, while a series is received, its images.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, inspect, select
from sqlalchemy.orm import Session

from db.finding_tables import Measurement
from db.states import DeliveryState, SeriesState
from db.tables import Base, Delivery, Instance, Job, Model, Output, Series, Study
from db.workitem_table import Workitem

# A column that is added here later must be NULL in all rows that are there: what is NULL is left out of the hash.
SERIES = ("uid", "study_uid", "modality", "description", "state", "code", "detail", "first_arrival_at", "fetched_at")
CLOSED_SERIES = ("facts", "last_arrival_at")
IMAGE = (
    *(
        "id",
        "sop_uid",
        "digest",
        "sop_class",
        "size_bytes",
        "received_at",
        "calling_ae",
        "receiving_ae",
        "transfer_syntax",
    ),
    *("path", "patient_id", "patient_name", "accession_number", "plane", "replaced_at", "removed_at", "stored_as"),
)
JOB = (
    *("key", "series_uid", "instances_digest", "model_digest", "settings_digest", "supersedes_id", "state", "attempt"),
    *("code", "reason", "detail", "created_at", "updated_at", "stored_as"),
)
MODEL = ("digest", "name", "version", "card", "first_seen_at")
DELIVERY = (
    *("job_id", "destination", "state", "status"),
    *("created_at", "retried_at", "sent_at", "committed_at", "proof"),
)
OUTPUT = ("kind", "sop_uid", "digest")
WORKITEM = (
    *("uid", "worklist", "transaction_uid", "series_uid", "state", "code", "reason", "label", "requester"),
    *("order_number", "asked", "jobs", "claimed_at", "cancel_asked_at", "ended_at"),
)
AnyRow = Row[Any]


def of_subject(session: Session, subject: Series | Job | Delivery | Workitem) -> str:
    """Return the hash of a row as the database now holds it."""
    session.flush()
    if isinstance(subject, Series):
        closed = subject.state != SeriesState.RECEIVING
        images = select(Instance.__table__).where(Instance.series_uid == subject.uid)
        return of_series(
            _row(session, Series, subject.uid),
            _row(session, Study, subject.study_uid),
            session.execute(images).all() if closed else (),
        )
    if isinstance(subject, Job):
        measured = session.scalar(select(Measurement.job_id).where(Measurement.job_id == subject.id).limit(1))
        model = _row(session, Model, subject.model_digest) if measured else None
        return of_job(_row(session, Job, subject.id), model)
    if isinstance(subject, Workitem):
        return of_workitem(_row(session, Workitem, subject.uid))
    return of_delivery(_row(session, Delivery, subject.id), _row(session, Output, subject.output_id))


def _row(session: Session, table: type[Base], key: object) -> AnyRow | None:
    (primary,) = inspect(table).primary_key
    return session.execute(select(table.__table__).where(primary == key)).one_or_none()


def of_series(series: AnyRow | None, study: AnyRow | None, images: Sequence[AnyRow]) -> str:
    """Return the hash of a series with the date of its study; once it is closed with its images."""
    facts = _fields(series, SERIES) | _fields(study, ("study_date",))
    if series is not None and series.state != SeriesState.RECEIVING:
        facts |= _fields(series, CLOSED_SERIES)
        in_order = sorted(images, key=lambda one: (one.sop_uid, one.digest))
        facts["images"] = [_fields(one, IMAGE) for one in in_order]
    return _digest(facts)


def of_job(job: AnyRow | None, model: AnyRow | None) -> str:
    """Return the hash of a job; ``model`` is the one that it was measured by, None before there are numbers."""
    return _digest({"job": _fields(job, JOB), "model": _fields(model, MODEL)})


def of_delivery(delivery: AnyRow | None, output: AnyRow | None) -> str:
    """Return the hash of a delivery with the object that it is for.

    Of an object that was sent the reason is left out: it says what is waited for, and may change without an event.
    """
    is_sent = delivery is not None and delivery.state == DeliveryState.SENT
    names = DELIVERY if is_sent else (*DELIVERY, "reason")
    return _digest({"delivery": _fields(delivery, names), "output": _fields(output, OUTPUT)})


def of_workitem(workitem: AnyRow | None) -> str:
    """Return the hash of an item of a worklist."""
    return _digest({"workitem": _fields(workitem, WORKITEM)})


def _fields(row: AnyRow | None, names: Iterable[str]) -> dict[str, Any]:
    values = ((name, getattr(row, name, None)) for name in names)
    return {name: value for name, value in values if value is not None}


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":"), default=_text).encode()).hexdigest()


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")
