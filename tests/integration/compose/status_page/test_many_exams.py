"""However many exams there are, a page asks the rows as often, and shows no more than fit."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, event, insert, select, update
from sqlalchemy.orm import Session, sessionmaker

from compose.settings import SiteSettings
from compose.status_page.exams import OF_A_PAGE
from db.tables import Instance, Job, Series, Study
from db.tracking import Change, events
from tests.support.status_page import logged_in

START = datetime(2026, 5, 1, tzinfo=UTC)
MANY = 10_000
STATES = ("delivered", "delivered", "rejected", "review", "failed")


def fill(rows: sessionmaker[Session], count: int, images: int = 2) -> None:
    """Write rows of exams, without events: lists read none."""
    uids = [f"7.7.{n}" for n in range(count)]
    came = [START + timedelta(minutes=n) for n in range(count)]
    with rows.begin() as session:
        session.execute(
            insert(Study),
            [
                {"uid": f"{uid}.0", "patient_id": uid, "patient_name": "", "accession_number": "", "study_date": ""}
                for uid in uids
            ],
        )
        session.execute(
            insert(Series),
            [
                {
                    "uid": uid,
                    "study_uid": f"{uid}.0",
                    "modality": "CT",
                    "description": f"chest {uid}",
                    "state": "complete",
                    "code": "contiguous",
                    "detail": {},
                    "first_arrival_at": time,
                    "last_arrival_at": time,
                }
                for uid, time in zip(uids, came, strict=True)
            ],
        )
        session.execute(
            insert(Job),
            [
                {
                    "key": uid,
                    "series_uid": uid,
                    "instances_digest": "",
                    "model_digest": "1" * 64,
                    "settings_digest": "",
                    "state": STATES[number % len(STATES)],
                    "attempt": 1,
                    "attempts_forgiven": 0,
                    "due_at": time,
                    "code": "missing_slices" if number % len(STATES) == 2 else None,
                    "detail": {},
                    "created_at": time,
                    "updated_at": time,
                }
                for number, (uid, time) in enumerate(zip(uids, came, strict=True))
            ],
        )
        session.execute(
            insert(Instance),
            [
                {
                    "series_uid": uid,
                    "sop_uid": f"{uid}.{n}",
                    "sop_class": "",
                    "digest": "",
                    "size_bytes": 1,
                    "received_at": START,
                    "calling_ae": "CT1",
                    "receiving_ae": "S",
                    "transfer_syntax": "",
                    "path": "",
                    "patient_id": uid,
                    "patient_name": "",
                    "accession_number": "",
                }
                for uid in uids
                for n in range(images)
            ],
        )


def asked(site: SiteSettings, path: str) -> list[str]:
    """Return the questions that a page asks of the rows."""
    bert, said = logged_in(site, "bert"), []

    def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert bert.get(path).status_code == 200
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return [one for one in said if one.startswith("SELECT")]


@pytest.mark.parametrize("path", ["/", "/?state=rejected&code=missing_slices", "/deliveries"])
def test_a_page_asks_as_often_of_many_exams_as_of_few(
    site: SiteSettings, rows: sessionmaker[Session], path: str
) -> None:
    few = asked(site, path)
    fill(rows, 200)
    assert len(asked(site, path)) == len(few) < 8


def test_a_course_reads_all_its_series_at_once(site: SiteSettings, rows: sessionmaker[Session]) -> None:
    fill(rows, 40)
    with rows.begin() as session:
        session.execute(update(Instance).where(Instance.series_uid.like("7.7.%")).values(patient_id="P1"))
        for uid in session.scalars(select(Series.uid).where(Series.uid.like("7.7.%"))):
            events.append(session, session.get_one(Series, uid), (None, "complete"), Change("test", START))
    questions = asked(site, "/exams/1.2.826.0.1.1/course")
    assert len([one for one in questions if "FROM delivery" in one]) < 5


def test_a_long_list_has_pages(site: SiteSettings, rows: sessionmaker[Session]) -> None:
    fill(rows, 120)
    bert = logged_in(site, "bert")
    pages = [bert.get(f"/?page={number}").text for number in (1, 2, 3)]
    seen = [text.count('class="open"') for text in pages]
    assert seen == [OF_A_PAGE, OF_A_PAGE, 130 - 2 * OF_A_PAGE]
    assert ['rel="prev"' in text for text in pages] == [False, True, True]
    assert ['rel="next"' in text for text in pages] == [True, True, False]
    assert f'href="/exams/7.7.{119}"' in pages[0]
