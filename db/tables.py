"""The tables. Every time is UTC; :mod:`db.states` says which changes of a state are allowed."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Enum,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from db.states import DeliveryState, JobState, OutputKind, SeriesState
from db.utc_time import UtcDateTime

UID = String(64)
DIGEST = String(64)
ROW_ID = BigInteger().with_variant(Integer, "sqlite")


def words(states: type[StrEnum]) -> Enum:
    """Return a text column that holds the values of an enum; the migrations give it its CHECK constraint."""
    return Enum(states, native_enum=False, create_constraint=False, values_callable=list)


class Base(DeclarativeBase):
    """Base of the tables."""

    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON}  # noqa: RUF012  read once by SQLAlchemy


class Study(Base):
    """A study and its patient, as its first image named them, or the last series that was sent again corrected."""

    __tablename__ = "study"
    uid: Mapped[str] = mapped_column(UID, primary_key=True)
    patient_id: Mapped[str]
    patient_name: Mapped[str]
    accession_number: Mapped[str]
    study_date: Mapped[str]


class Series(Base):
    """A series, from its first instance on. ``facts`` is what the routing rules saw of it when it was closed.

    ``fetched_at`` is when files of it last came home from the object store.
    """

    __tablename__ = "series"
    uid: Mapped[str] = mapped_column(UID, primary_key=True)
    study_uid: Mapped[str] = mapped_column(ForeignKey("study.uid"), index=True)
    modality: Mapped[str]
    description: Mapped[str]
    state: Mapped[SeriesState] = mapped_column(words(SeriesState), index=True)
    code: Mapped[str | None]
    detail: Mapped[dict[str, Any]]
    facts: Mapped[dict[str, Any] | None]
    first_arrival_at: Mapped[datetime] = mapped_column(index=True)
    last_arrival_at: Mapped[datetime]
    fetched_at: Mapped[datetime | None]


class Instance(Base):
    """One received image: the path of its file, byte for byte as sent, and the patient that its header names.

    ``replaced_at`` is set when other bytes came under its UID, ``removed_at`` when its retention was over and the file
    was removed. ``stored_as`` is the URL of a copy in the object store, once there is one and until the file came home.
    """

    __tablename__ = "instance"
    __table_args__ = (UniqueConstraint("series_uid", "sop_uid", "digest"),)
    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True)
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.uid"))
    sop_uid: Mapped[str] = mapped_column(UID, index=True)
    sop_class: Mapped[str] = mapped_column(UID)
    digest: Mapped[str] = mapped_column(DIGEST)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    received_at: Mapped[datetime]
    calling_ae: Mapped[str]
    receiving_ae: Mapped[str]
    transfer_syntax: Mapped[str] = mapped_column(UID)
    path: Mapped[str]
    patient_id: Mapped[str] = mapped_column(index=True)
    patient_name: Mapped[str]
    accession_number: Mapped[str]
    plane: Mapped[dict[str, Any] | None]
    replaced_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    stored_as: Mapped[str | None]


class Model(Base):
    """A pattern model that has been used, by the digest of its weights."""

    __tablename__ = "model"
    digest: Mapped[str] = mapped_column(DIGEST, primary_key=True)
    name: Mapped[str]
    version: Mapped[str]
    card: Mapped[dict[str, Any]]
    first_seen_at: Mapped[datetime]


class Job(Base):
    """One assessment of one instance set of a series by one model under one set of settings.

    ``attempt`` only grows: it is the fencing token. ``attempts_forgiven`` are those before an operator's retry.
    ``patient_id``, ``accession_number`` and ``images`` (their number) are of its images, ``assessed_at`` is when it
    first had numbers: here auditors ask by them. ``stored_as`` is the folder of copies of its files, as for images.
    """

    __tablename__ = "job"
    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True)
    key: Mapped[str] = mapped_column(DIGEST, unique=True)
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.uid"), index=True)
    instances_digest: Mapped[str] = mapped_column(DIGEST)
    model_digest: Mapped[str] = mapped_column(DIGEST)
    settings_digest: Mapped[str] = mapped_column(DIGEST)
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"), index=True)
    state: Mapped[JobState] = mapped_column(words(JobState), index=True)
    stage: Mapped[str | None]
    attempt: Mapped[int]
    attempts_forgiven: Mapped[int]
    due_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    notified_at: Mapped[datetime | None]
    code: Mapped[str | None]
    reason: Mapped[str | None]
    detail: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    patient_id: Mapped[str | None] = mapped_column(index=True)
    accession_number: Mapped[str | None]
    images: Mapped[int | None]
    assessed_at: Mapped[datetime | None] = mapped_column(index=True)
    stored_as: Mapped[str | None]


class JobInstance(Base):
    """Which images a job was opened for."""

    __tablename__ = "job_instance"
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"), primary_key=True, index=True)


class Output(Base):
    """A written file of a job: SEG, SR, page or picture.

    ``role`` tells the several SEGs and SRs of a job apart, and who gets which; None where there is one of the kind.
    """

    __tablename__ = "output"
    __table_args__ = (UniqueConstraint("job_id", "path"),)
    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    kind: Mapped[OutputKind] = mapped_column(words(OutputKind))
    sop_uid: Mapped[str | None] = mapped_column(UID)
    digest: Mapped[str] = mapped_column(DIGEST)
    path: Mapped[str]
    role: Mapped[str | None]


class Delivery(Base):
    """One output on its way to one destination. While it is being sent ``due_at`` lies ahead, as a lease.

    ``code`` and ``reason`` are those of the last failure; while the object is being sent again there is no code.
    ``attempts`` are those since ``retried_at``, when an operator, or an archive that had lost it, last had it tried
    again; None where nobody had.

    Of one that was sent, ``proof_due_at`` is when a proof is sought next that the archive has it: None where it is
    proven, or never can be. ``proof`` is how it was proven, ``transaction_uid`` that of a commitment request still
    open, and ``resent`` how often the archive did not have it and it was sent again.
    """

    __tablename__ = "delivery"
    __table_args__ = (UniqueConstraint("output_id", "destination"),)
    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    output_id: Mapped[int] = mapped_column(ForeignKey("output.id"))
    destination: Mapped[str]
    state: Mapped[DeliveryState] = mapped_column(words(DeliveryState), index=True)
    attempts: Mapped[int]
    due_at: Mapped[datetime]
    notified_at: Mapped[datetime | None]
    status: Mapped[int | None]
    code: Mapped[str | None]
    reason: Mapped[str | None]
    created_at: Mapped[datetime]
    retried_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    committed_at: Mapped[datetime | None]
    transaction_uid: Mapped[str | None] = mapped_column(UID, index=True)
    proof: Mapped[str | None]
    proof_tries: Mapped[int] = mapped_column(default=0)
    proof_due_at: Mapped[datetime | None] = mapped_column(index=True)
    resent: Mapped[int] = mapped_column(default=0)
    output: Mapped[Output] = relationship()


class Event(Base):
    """One change of state. Rows are only ever added; each carries the hash of the one before it of its series.

    ``subject_hash`` is of the row that it is about; None in events of earlier versions.
    """

    __tablename__ = "event"
    __table_args__ = (UniqueConstraint("series_uid", "sequence"),)
    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True)
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.uid"))
    sequence: Mapped[int]
    at: Mapped[datetime] = mapped_column(index=True)
    who: Mapped[str]
    subject: Mapped[str]
    subject_id: Mapped[str]
    from_state: Mapped[str | None]
    to_state: Mapped[str]
    code: Mapped[str | None] = mapped_column(index=True)
    detail: Mapped[dict[str, Any]]
    subject_hash: Mapped[str | None] = mapped_column(DIGEST)
    previous_hash: Mapped[str] = mapped_column(DIGEST)
    hash: Mapped[str] = mapped_column(DIGEST)


# For auditors: what people did, among all that processes do.
Index("ix_event_operator", Event.at, postgresql_where=Event.who.like("operator:%")).ddl_if(dialect="postgresql")


def _waiting(name: str, where: str, *columns: Any) -> None:
    """Make an index of the rows of a table that still wait for something: it stays short while the table grows.

    The state leads, though it is the same in all of them: SQLite counts columns, and would take that of all states.
    """
    Index(name, *columns, postgresql_where=text(where), sqlite_where=text(where))


# For the scheduler, which looks several times a second; the migrations name the same.
_waiting("ix_job_new", "state = 'queued' AND (notified_at IS NULL OR notified_at < due_at)", Job.state, Job.due_at)
_waiting("ix_job_rejected", "state = 'rejected'", Job.state, Job.updated_at)
_waiting(
    "ix_delivery_new",
    "state = 'pending' AND (notified_at IS NULL OR notified_at < due_at)",
    Delivery.state,
    Delivery.due_at,
)
_waiting(
    "ix_delivery_unproven",
    "state = 'sent' AND (notified_at IS NULL OR notified_at < proof_due_at)",
    Delivery.state,
    Delivery.proof_due_at,
)
# For who delivers, each time that a destination takes an object.
_waiting(
    "ix_delivery_unreached",
    "state = 'pending' AND code IS NOT NULL AND status IS NULL",
    Delivery.destination,
    Delivery.due_at,
)
# For the cleaning: most images have left.
_waiting("ix_instance_present", "removed_at IS NULL", Instance.series_uid)
