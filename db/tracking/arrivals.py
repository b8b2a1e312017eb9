"""Registers images as they come: rows of studies, series and instances."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.image_plane import ImagePlane
from db.states import ASSOCIATION_BROKEN_OFF, SeriesState
from db.tables import Instance, Series, Study
from db.tracking import patients
from db.tracking.events import Change, begin, move
from db.tracking.patients import Identity

WHO = "dicom_node"
# SOP Instance UID and digest.
Version = tuple[str, str]


@dataclass(frozen=True)
class Arrival:
    """One durable image: its file, and what its header says.

    ``digest`` is the SHA-256 of the data set as sent, without the file meta group; ``plane`` is None where
    the header has none.
    """

    sop_uid: str
    sop_class: str
    series_uid: str
    study_uid: str
    digest: str
    size_bytes: int
    received_at: datetime
    calling_ae: str
    receiving_ae: str
    transfer_syntax: str
    path: str
    patient_id: str
    patient_name: str
    accession_number: str
    study_date: str
    modality: str
    series_description: str
    plane: ImagePlane | None

    @property
    def version(self) -> Version:
        """The version of the image: its SOP Instance UID and the digest of its bytes."""
        return self.sop_uid, self.digest


@dataclass(frozen=True)
class _Known:
    removed_at: datetime | None
    replaced_at: datetime | None
    received_at: datetime


@dataclass(frozen=True)
class Registered:
    """The series that some arrivals changed, and the arrivals to set aside.

    ``strangers`` name another study than their series belongs to, ``conflicting`` another patient where nobody may
    correct one.
    """

    series: frozenset[str]
    strangers: tuple[Arrival, ...]
    conflicting: tuple[Arrival, ...] = ()


def register(
    session: Session, arrivals: Sequence[Arrival], now: datetime, may_correct_patients: bool = True
) -> Registered:
    """Add rows for images not known yet, given in the order they came.

    The same image again changes nothing, unless its file was removed meanwhile: it is then taken as if it were new.
    Other bytes under a known SOP Instance UID replace the earlier ones in later jobs; all versions stay recorded, and
    the one that was sent last counts, even if it is the first one again. A new image opens a closed series again.
    Known images do so where it was closed as ``association_broken_off``, because its sender may have sent all of it
    this time, and where it was skipped, because the rules may be others now. An image that names another study than its
    series belongs to gets no row; nor does one that names another patient than the images before it, unless its
    senders may correct patients.
    """
    by_series: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        by_series[arrival.series_uid].append(arrival)
    touched: list[tuple[Series, frozenset[Identity]]] = []
    strangers: list[Arrival] = []
    conflicting: list[Arrival] = []
    # All writers lock series in one order; otherwise two of them could each hold a series that the other waits for.
    for uid in sorted(by_series):
        series = _series(session, by_series[uid][0], now)
        own = [arrival for arrival in by_series[uid] if arrival.study_uid == series.study_uid]
        strangers += _strangers(session, series, by_series[uid], now)
        before = patients.said(session, uid)
        if not may_correct_patients:
            conflicts = _conflicts(session, series, own, before, Change(WHO, now))
            conflicting += conflicts
            own = [arrival for arrival in own if arrival not in conflicts]
        if _register_series(session, series, own, now):
            touched.append((series, before))
    # Studies are locked after all series, and in one order, for the same reason.
    for series, before in sorted(touched, key=lambda pair: pair[0].study_uid):
        patients.compare(session, series, before, Change(WHO, now))
    return Registered(frozenset(series.uid for series, _ in touched), tuple(strangers), tuple(conflicting))


def _strangers(session: Session, series: Series, arrivals: Sequence[Arrival], now: datetime) -> list[Arrival]:
    """Note the images that name another study than their series belongs to, and return them."""
    found = [arrival for arrival in arrivals if arrival.study_uid != series.study_uid]
    for study_uid in sorted({arrival.study_uid for arrival in found}):
        sop_uids = [arrival.sop_uid for arrival in found if arrival.study_uid == study_uid]
        patients.note_strangers(session, series, study_uid, sop_uids, Change(WHO, now))
    return found


def _conflicts(
    session: Session, series: Series, arrivals: Sequence[Arrival], before: frozenset[Identity], at: Change
) -> list[Arrival]:
    """Note the images that name another patient than the first of their series, and return them."""
    known = {one.patient_id for one in before} or {arrival.patient_id for arrival in arrivals[:1]}
    found = [arrival for arrival in arrivals if arrival.patient_id not in known]
    for calling_ae in sorted({arrival.calling_ae for arrival in found}):
        sop_uids = [arrival.sop_uid for arrival in found if arrival.calling_ae == calling_ae]
        patients.note_conflicts(session, series, calling_ae, sop_uids, at)
    return found


def _register_series(session: Session, series: Series, arrivals: list[Arrival], now: datetime) -> bool:
    come = _news(arrivals, _known(session, series.uid))
    if not come:
        return _sent_again(session, series, arrivals, now)
    replaced = _take(session, series.uid, list(come.values()), now)
    # Never later than now: after the clock was set back the series would else wait until it has caught up.
    series.last_arrival_at = min(now, max(series.last_arrival_at, *(a.received_at for a in come.values())))
    if series.state != SeriesState.RECEIVING:
        detail = {"late": len(come), "replaced": replaced}
        move(session, series, SeriesState.RECEIVING, Change(WHO, now, "late_images", detail))
    session.flush()
    return True


def _sent_again(session: Session, series: Series, arrivals: list[Arrival], now: datetime) -> bool:
    broke_off = (series.state, series.code) == (SeriesState.INCOMPLETE, ASSOCIATION_BROKEN_OFF)
    if not arrivals or not (broke_off or series.state == SeriesState.SKIPPED):
        return False
    series.last_arrival_at = min(now, max(series.last_arrival_at, *(a.received_at for a in arrivals)))
    move(session, series, SeriesState.RECEIVING, Change(WHO, now, "sent_again"))
    session.flush()
    return True


def _known(session: Session, series_uid: str) -> dict[Version, _Known]:
    columns = (Instance.sop_uid, Instance.digest, Instance.removed_at, Instance.replaced_at, Instance.received_at)
    rows = session.execute(select(*columns).where(Instance.series_uid == series_uid))
    return {(sop_uid, digest): _Known(removed, replaced, came) for sop_uid, digest, removed, replaced, came in rows}


def _news(arrivals: Sequence[Arrival], known: Mapping[Version, _Known]) -> dict[Version, Arrival]:
    """Return the arrivals that change something; of one version the last arrival counts."""
    come: dict[Version, Arrival] = {}
    changed: set[str] = set()
    for arrival in arrivals:
        # Once another version of an image came, the version that is current in the rows counts as news again.
        if arrival.sop_uid in changed or _is_news(known.get(arrival.version), arrival):
            changed.add(arrival.sop_uid)
            come.pop(arrival.version, None)
            come[arrival.version] = arrival
    return come


def _is_news(known: _Known | None, arrival: Arrival) -> bool:
    """Whether an arrival changes something; a file that is registered once more after a crash does not."""
    if known is None or known.removed_at is not None:
        return True
    return known.replaced_at is not None and known.received_at != arrival.received_at


def _take(session: Session, series_uid: str, come: Sequence[Arrival], now: datetime) -> int:
    """Make the arrivals current, the latest for each SOP instance, and return how many instances they replace."""
    newest = {arrival.sop_uid: arrival.digest for arrival in come}
    rows = session.scalars(
        select(Instance).where(Instance.series_uid == series_uid, Instance.sop_uid.in_(newest)).order_by(Instance.id)
    ).all()
    known = {(row.sop_uid, row.digest): row for row in rows}
    replaced = {row.sop_uid for row in rows if row.replaced_at is None and row.digest != newest[row.sop_uid]}
    for row in rows:
        row.replaced_at = row.replaced_at or now
    for arrival in come:
        row = known.get(arrival.version) or _instance(arrival)
        row.replaced_at = None if newest[row.sop_uid] == row.digest else now
        row.removed_at, row.stored_as, row.received_at = None, None, arrival.received_at
        session.add(row)
    return len(replaced)


def _series(session: Session, arrival: Arrival, now: datetime) -> Series:
    series = session.get(Series, arrival.series_uid, with_for_update=True)
    if series is not None:
        return series
    if session.get(Study, arrival.study_uid) is None:
        session.add(
            Study(
                uid=arrival.study_uid,
                patient_id=arrival.patient_id,
                patient_name=arrival.patient_name,
                accession_number=arrival.accession_number,
                study_date=arrival.study_date,
            )
        )
        session.flush()
    series = Series(
        uid=arrival.series_uid,
        study_uid=arrival.study_uid,
        modality=arrival.modality,
        description=arrival.series_description,
        state=SeriesState.RECEIVING,
        detail={},
        first_arrival_at=arrival.received_at,
        last_arrival_at=arrival.received_at,
    )
    begin(session, series, Change(WHO, now, detail={"calling_ae": arrival.calling_ae}))
    return series


def _instance(arrival: Arrival) -> Instance:
    return Instance(
        series_uid=arrival.series_uid,
        sop_uid=arrival.sop_uid,
        sop_class=arrival.sop_class,
        digest=arrival.digest,
        size_bytes=arrival.size_bytes,
        received_at=arrival.received_at,
        calling_ae=arrival.calling_ae,
        receiving_ae=arrival.receiving_ae,
        transfer_syntax=arrival.transfer_syntax,
        path=arrival.path,
        patient_id=arrival.patient_id,
        patient_name=arrival.patient_name,
        accession_number=arrival.accession_number,
        plane=arrival.plane.as_json() if arrival.plane else None,
    )
