"""Reads all rows of some series, a query a table, as the comparison with their events wants them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from db.finding_tables import Exam, Measurement, QualityFlag
from db.tables import Base, Delivery, Event, Instance, Job, JobInstance, Model, Output, Series, Study
from db.tracking.seal import ResultRows
from db.workitem_table import Workitem

AnyRow = Row[Any]
RESULT_TABLES = (Measurement, QualityFlag, Output, Exam)


@dataclass(frozen=True)
class SeriesRows:
    """The rows of one series, each table in the order of its key; ``results`` and ``models`` are by job and digest."""

    uid: str
    series: AnyRow | None
    study: AnyRow | None
    events: Sequence[AnyRow]
    images: Sequence[AnyRow]
    jobs: Sequence[AnyRow]
    deliveries: Sequence[AnyRow]
    results: Mapping[int, ResultRows]
    models: Mapping[str, AnyRow]
    workitems: Sequence[AnyRow]


def read(session: Session, uids: Sequence[str]) -> Iterator[SeriesRows]:
    """Yield the rows of each series, those of an unknown one without any."""
    series = {row.uid: row for row in _all(session, Series, Series.uid.in_(uids))}
    studies = {row.uid: row for row in _all(session, Study, Study.uid.in_([row.study_uid for row in series.values()]))}
    events = _by(_all(session, Event, Event.series_uid.in_(uids), order=Event.sequence), "series_uid")
    images = _by(_all(session, Instance, Instance.series_uid.in_(uids)), "series_uid")
    jobs = _by(_all(session, Job, Job.series_uid.in_(uids), order=Job.id), "series_uid")
    job_ids = [job.id for some in jobs.values() for job in some]
    deliveries = _by(_all(session, Delivery, Delivery.job_id.in_(job_ids), order=Delivery.id), "job_id")
    results = _results(session, job_ids, images)
    models = {row.digest: row for row in _all(session, Model)}
    workitems = _by(_all(session, Workitem, Workitem.series_uid.in_(uids), order=Workitem.uid), "series_uid")
    for uid in uids:
        one = series.get(uid)
        yield SeriesRows(
            uid=uid,
            series=one,
            study=studies.get(one.study_uid) if one else None,
            events=events[uid],
            images=images[uid],
            jobs=jobs[uid],
            deliveries=[delivery for job in jobs[uid] for delivery in deliveries[job.id]],
            results={job.id: results[job.id] for job in jobs[uid]},
            models=models,
            workitems=workitems[uid],
        )


def _results(
    session: Session, job_ids: Sequence[int], images: Mapping[str, Sequence[AnyRow]]
) -> Mapping[int, ResultRows]:
    by_id = {image.id: image for some in images.values() for image in some}
    measured: dict[int, list[AnyRow]] = defaultdict(list)
    for one in _all(session, JobInstance, JobInstance.job_id.in_(job_ids)):
        # An image that is missing, or of another series, is none of the job's: its hash says so.
        if one.instance_id in by_id:
            measured[one.job_id].append(by_id[one.instance_id])
    numbers, flags, outputs, exams = (
        _by(_all(session, table, table.job_id.in_(job_ids)), "job_id") for table in RESULT_TABLES
    )
    return {
        one: ResultRows(numbers[one], flags[one], outputs[one], measured[one], exams[one][0] if exams[one] else None)
        for one in job_ids
    }


def _all(session: Session, table: type[Base], *conditions: Any, order: Any = None) -> Sequence[AnyRow]:
    # Rows of the table, and no objects of it: they are many.
    return session.execute(select(table.__table__).where(*conditions).order_by(order)).all()


def _by(rows: Sequence[AnyRow], name: str) -> Mapping[Any, list[AnyRow]]:
    found: dict[Any, list[AnyRow]] = defaultdict(list)
    for row in rows:
        found[getattr(row, name)].append(row)
    return found
