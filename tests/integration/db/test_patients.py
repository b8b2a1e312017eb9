"""Whose images are: other studies under a known series, corrected patients, patients that contradict each other."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from alembic import command
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from db import audit, schema, tracking
from db.engine import open_engine
from db.tables import Instance, Series, Study
from db.tracking import Arrival, Registered
from tests.integration.db.test_tracking import ARRIVAL, IDENTITY, NOW, images, later, opened
from tests.support.delivered import deliver

Sessions = sessionmaker[Session]
SERIES, STUDY = "1.2.3", "1.2"
OTHER = {"digest": "e" * 64, "patient_id": "P2", "patient_name": "PHANTOM^TWO", "accession_number": "A2"}
FIRST_SAYS = {"patient_id": "P1", "patient_name": "PHANTOM^ONE", "accession_number": "A1"}
OTHER_SAYS = {key: OTHER[key] for key in FIRST_SAYS}


def register(sessions: Sessions, arrivals: list[Arrival], now: datetime) -> Registered:
    with sessions.begin() as session:
        return tracking.register(session, arrivals, now)


def events(sessions: Sessions, series_uid: str = SERIES) -> list[tuple[str, dict[str, Any]]]:
    """Code and detail of the events that have to do with identity."""
    with sessions.begin() as session:
        assert tracking.verify_chain(session, series_uid) is None
        trail = audit.trail(session, series_uid)
    codes = {"study_conflict", "several_patients", "patient_corrected", "patient_conflict"}
    return [(row["code"], row["detail"]) for row in trail if row["code"] in codes]


def study_says(sessions: Sessions) -> dict[str, str]:
    with sessions.begin() as session:
        study = session.get_one(Study, STUDY)
        return {key: getattr(study, key) for key in FIRST_SAYS}


def in_series(series_uid: str, arrivals: list[Arrival]) -> list[Arrival]:
    return [replace(one, series_uid=series_uid, sop_uid=f"{series_uid}.{one.sop_uid}") for one in arrivals]


def result(sessions: Sessions, series_uid: str) -> None:
    """Close a series and deliver its result."""
    with sessions.begin() as session:
        tracking.close_series(session, series_uid, "complete", "contiguous", {}, NOW)
        tracking.open_job(session, series_uid, IDENTITY, NOW)
    deliver(sessions, series_uid, NOW)


def test_an_image_of_another_study_is_not_merged(sessions: Sessions) -> None:
    opened(sessions, 2)
    stranger = replace(ARRIVAL, sop_uid="1.2.3.9", study_uid="1.9")
    assert register(sessions, [stranger], later(9)) == Registered(frozenset(), (stranger,))
    with sessions.begin() as session:
        series = session.get_one(Series, SERIES)
        assert (series.state, series.study_uid, series.last_arrival_at) == ("complete", STUDY, NOW)
        assert session.scalars(select(Instance.sop_uid)).all() == ["1.2.3.0", "1.2.3.1"]
        assert session.scalars(select(Study.uid)).all() == [STUDY]
    detail = {"sop_uids": ["1.2.3.9"], "study_uid": STUDY, "other_study_uid": "1.9"}
    assert events(sessions) == [("study_conflict", detail)]


def test_of_two_studies_in_one_batch_the_first_counts(sessions: Sessions) -> None:
    first, *strangers = images(4)
    strangers = [replace(one, study_uid=f"1.{9 - n // 2}") for n, one in enumerate(strangers)]
    assert register(sessions, [first, *strangers], NOW) == Registered(frozenset({SERIES}), tuple(strangers))
    assert [(code, detail["other_study_uid"], len(detail["sop_uids"])) for code, detail in events(sessions)] == [
        ("study_conflict", "1.8", 1),
        ("study_conflict", "1.9", 2),
    ]


def test_a_patient_is_corrected_once_every_image_says_so(sessions: Sessions) -> None:
    opened(sessions, 4)
    register(sessions, images(2, **OTHER), later(1))
    assert study_says(sessions) == FIRST_SAYS
    register(sessions, images(3, **OTHER), later(2))
    assert events(sessions) == [("several_patients", {"patient_ids": ["P1", "P2"]})]
    register(sessions, images(4, **OTHER), later(3))
    assert study_says(sessions) == OTHER_SAYS
    detail = {"from": [FIRST_SAYS], "to": OTHER_SAYS, "study": FIRST_SAYS}
    assert events(sessions)[1:] == [("patient_corrected", detail)]


def test_a_corrected_name_alone_corrects_the_study(sessions: Sessions) -> None:
    opened(sessions, 2)
    renamed = {"digest": "e" * 64, "patient_name": "PHANTOM^RENAMED"}
    register(sessions, images(1, **renamed), later(1))
    assert events(sessions) == []
    register(sessions, images(2, **renamed), later(2))
    assert study_says(sessions)["patient_name"] == "PHANTOM^RENAMED"
    assert [code for code, _ in events(sessions)] == ["patient_corrected"]


def test_other_bytes_of_the_same_patient_correct_nothing(sessions: Sessions) -> None:
    opened(sessions, 2)
    register(sessions, images(2, digest="e" * 64), later(1))
    assert (events(sessions), study_says(sessions)) == ([], FIRST_SAYS)


def test_late_images_of_another_patient_make_two_patients(sessions: Sessions) -> None:
    opened(sessions, 2)
    register(sessions, images(4, **OTHER | {"digest": "d" * 64})[2:], later(1))
    assert events(sessions) == [("several_patients", {"patient_ids": ["P1", "P2"]})]
    assert study_says(sessions) == FIRST_SAYS


def test_a_new_series_decides_no_patient_of_its_study(sessions: Sessions) -> None:
    opened(sessions, 2)
    register(sessions, in_series("1.4", images(2, **OTHER)), later(1))
    register(sessions, in_series("1.4", images(3, **OTHER)), later(2))
    assert events(sessions, "1.4") == [("patient_conflict", {"patient_id": "P2", "study_patient_id": "P1"})]
    assert study_says(sessions) == FIRST_SAYS


def test_a_series_corrected_to_its_study_keeps_the_study(sessions: Sessions) -> None:
    opened(sessions, 2)
    register(sessions, in_series("1.4", images(2, **OTHER)), later(1))
    register(sessions, in_series("1.4", images(2)), later(2))
    detail = {"from": [OTHER_SAYS], "to": FIRST_SAYS, "study": FIRST_SAYS}
    assert events(sessions, "1.4")[1:] == [("patient_corrected", detail)]
    assert study_says(sessions) == FIRST_SAYS


def test_each_result_shows_the_patient_of_its_own_images(sessions: Sessions) -> None:
    for series_uid in ("1.4", "1.5"):
        register(sessions, in_series(series_uid, images(2)), NOW)
        result(sessions, series_uid)
    register(sessions, in_series("1.5", images(2, **OTHER)), later(1))
    assert study_says(sessions) == OTHER_SAYS
    with sessions.begin() as session:
        rows = {row["series_uid"]: (row["patient_id"], row["accession_number"]) for row in audit.results(session)}
    # That of 1.5 was made of the images before, and goes on saying so until its new job has a result.
    assert rows == {"1.4": ("P1", "A1"), "1.5": ("P1", "A1")}
    result(sessions, "1.5")
    with sessions.begin() as session:
        rows = {row["series_uid"]: (row["patient_id"], row["accession_number"]) for row in audit.results(session)}
    assert rows == {"1.4": ("P1", "A1"), "1.5": ("P2", "A2")}


def test_images_from_before_take_the_patient_of_their_study(database_url: str) -> None:
    engine, config = open_engine(database_url), schema._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0006")
        connection.execute(text("INSERT INTO study VALUES ('1.2', 'P1', 'PHANTOM^ONE', 'A1', '20260102')"))
        connection.execute(
            text(
                "INSERT INTO series (uid, study_uid, modality, description, state, detail, first_arrival_at, "
                "last_arrival_at) VALUES ('1.2.3', '1.2', 'CT', '', 'receiving', '{}', :now, :now)"
            ),
            {"now": "2026-01-02 03:04:05"},
        )
        connection.execute(
            text(
                "INSERT INTO instance (series_uid, sop_uid, sop_class, digest, size_bytes, received_at, calling_ae, "
                "receiving_ae, transfer_syntax, path) VALUES ('1.2.3', '1.2.3.1', '1.2', 'd', 1, :now, '', '', '', '')"
            ),
            {"now": "2026-01-02 03:04:05"},
        )
        command.upgrade(config, "head")
        found = connection.execute(text("SELECT patient_id, patient_name, accession_number FROM instance")).one()
        assert tuple(found) == ("P1", "PHANTOM^ONE", "A1")
        connection.execute(text("SELECT patient_id FROM audit_result"))
    engine.dispose()


def strange(sessions: Sessions, arrivals: list[Arrival], now: datetime) -> Registered:
    """Register as on a site where anybody may send."""
    with sessions.begin() as session:
        return tracking.register(session, arrivals, now, may_correct_patients=False)


def test_a_stranger_replaces_no_image_by_another_patients(sessions: Sessions) -> None:
    opened(sessions, 4)
    forged = images(2, **OTHER | {"calling_ae": "STRANGER"})
    late = [replace(one, sop_uid="1.2.3.9") for one in forged[:1]]
    assert strange(sessions, forged + late, later(1)) == Registered(frozenset(), (), (*forged, *late))
    with sessions.begin() as session:
        assert session.get_one(Series, SERIES).state == "complete"
        assert set(session.scalars(select(Instance.patient_id))) == {"P1"}
        (event,) = [row for row in audit.trail(session, SERIES) if row["code"] == "identity_conflict"]
    assert event["detail"] == {"sop_uids": ["1.2.3.0", "1.2.3.1", "1.2.3.9"], "calling_ae": "STRANGER"}
    assert (study_says(sessions), events(sessions)) == (FIRST_SAYS, [])


def test_a_strangers_first_image_sets_no_patient_of_others(sessions: Sessions) -> None:
    strange(sessions, in_series("1.9", images(1, **OTHER)), NOW)
    assert strange(sessions, images(3), later(1)) == Registered(frozenset({SERIES}), ())
    result(sessions, SERIES)
    with sessions.begin() as session:
        assert [(row["patient_id"], row["accession_number"]) for row in audit.results(session)] == [("P1", "A1")]
    assert events(sessions) == [("patient_conflict", {"patient_id": "P1", "study_patient_id": "P2"})]


def test_where_anybody_sends_the_same_patient_is_sent_again(sessions: Sessions) -> None:
    opened(sessions, 2)
    assert strange(sessions, images(2, digest="e" * 64), later(1)) == Registered(frozenset({SERIES}), ())
