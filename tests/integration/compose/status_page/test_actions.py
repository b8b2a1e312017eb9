"""What operators do, what viewers may not, and what a form of somebody else's does: nothing."""

import re

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from compose.settings import SiteSettings
from db import audit, tracking
from db.states import DeliveryState, JobState
from db.tables import Delivery, Job
from tests.support.audited_site import Site, uid
from tests.support.status_page import CSRF, Person, logged_in

Rows = sessionmaker[Session]
VERBS = ("retry", "release", "discard", "recompute")


@pytest.fixture
def waiting(rows: Rows) -> int:
    """A job that waits for a person."""
    later = Site(rows)
    later.wait(86400 * 60)
    later.receive(11)
    return later.review(11, 45.0)


def state(rows: Rows, job_id: int) -> JobState:
    with rows.begin() as session:
        return session.get_one(Job, job_id).state


def job_of(rows: Rows, number: int) -> int:
    """Return the newest job of a series."""
    with rows.begin() as session:
        return int(session.scalars(select(Job.id).where(Job.series_uid == uid(number)).order_by(Job.id.desc())).first())


def last_deed(rows: Rows, number: int) -> tuple[str, str | None]:
    """Return who did what last, but for looks."""
    with rows.begin() as session:
        trail = [one for one in audit.trail(session, uid(number)) if one["who"].endswith("@page")]
        assert tracking.verify_series(session, uid(number)) is None
    deeds = [(one["who"], one["code"]) for one in trail if one["code"] != "viewed"]
    return deeds[-1] if deeds else ("", None)


@pytest.mark.parametrize(
    ("verb", "becomes", "code"),
    [("release", "encoded", "released"), ("discard", "discarded", "discarded"), ("recompute", "queued", "recomputed")],
)
def test_an_operator_decides_what_waits(
    site: SiteSettings, rows: Rows, waiting: int, verb: str, becomes: str, code: str
) -> None:
    anna = logged_in(site, "anna")
    path = f"/exams/{uid(11)}"
    assert re.search(f'id="do-{verb}"', anna.get(path).text)
    answer = anna.post(f"/jobs/{waiting}/{verb}", {"back": uid(11)})
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert state(rows, waiting) == becomes
    assert last_deed(rows, 11) == ("operator:anna@page", code)
    assert f"Job {waiting} is" in anna.get(path).text


def test_what_is_released_goes_to_the_destinations_of_the_site(site: SiteSettings, rows: Rows, waiting: int) -> None:
    logged_in(site, "anna").post(f"/jobs/{waiting}/release")
    with rows.begin() as session:
        opened = session.scalars(select(Delivery).where(Delivery.job_id == waiting)).all()
    assert {(one.destination, one.state) for one in opened} == {("dicom://PACS@10.0.0.5:104", DeliveryState.PENDING)}


def test_an_operator_retries_a_dead_letter_from_either_page(site: SiteSettings, rows: Rows) -> None:
    job_id, anna = job_of(rows, 5), logged_in(site, "anna")
    assert f'action="/jobs/{job_id}/retry"' in anna.get("/deliveries").text
    assert f'action="/jobs/{job_id}/retry"' in anna.get(f"/exams/{uid(5)}").text
    assert anna.post(f"/jobs/{job_id}/retry").headers["location"] == "/deliveries"
    assert state(rows, job_id) == JobState.QUEUED
    assert last_deed(rows, 5) == ("operator:anna@page", "retried")


def test_an_operator_has_a_skipped_series_judged_anew(site: SiteSettings, rows: Rows) -> None:
    answer = logged_in(site, "anna").post(f"/exams/{uid(6)}/reconsider", {"back": uid(6)})
    assert answer.headers["location"] == f"/exams/{uid(6)}"
    with rows.begin() as session:
        (one,) = audit.status(session, uid(6))
    assert one.state == "receiving"
    assert last_deed(rows, 6) == ("operator:anna@page", "reconsidered")


@pytest.mark.parametrize("verb", VERBS)
def test_a_viewer_may_not(site: SiteSettings, rows: Rows, waiting: int, verb: str) -> None:
    bert = logged_in(site, "bert")
    assert "/jobs/" not in bert.get(f"/exams/{uid(11)}").text
    assert "/jobs/" not in bert.get("/deliveries").text
    assert bert.post(f"/jobs/{waiting}/{verb}").status_code == 403
    assert bert.post(f"/exams/{uid(6)}/reconsider").status_code == 403
    assert state(rows, waiting) == JobState.REVIEW
    assert last_deed(rows, 11) == ("", None)


@pytest.mark.parametrize("verb", VERBS)
def test_a_form_without_the_secret_of_the_login_does_nothing(
    site: SiteSettings, rows: Rows, waiting: int, verb: str
) -> None:
    anna, other = logged_in(site, "anna"), logged_in(site, "anna")
    path = f"/jobs/{waiting}/{verb}"
    stolen = other.csrf()
    for form in ({}, {"csrf": ""}, {"csrf": stolen}, {"csrf": "ü" * 43}):
        assert anna.post_bare(path, form).status_code == 403
    assert anna.post(path, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert Person(site).post_bare(path, {"csrf": stolen}).status_code == 403
    assert anna.get(path).status_code == 405
    assert state(rows, waiting) == JobState.REVIEW


def test_every_form_of_the_pages_bears_the_secret(site: SiteSettings, waiting: int) -> None:
    anna = logged_in(site, "anna")
    for path in ("/", "/deliveries", f"/exams/{uid(11)}", f"/exams/{uid(6)}"):
        text = anna.get(path).text
        assert text.count('method="post"') == len(CSRF.findall(text)) > 0, path


def test_who_comes_too_late_is_told_so(site: SiteSettings, rows: Rows, waiting: int) -> None:
    anna = logged_in(site, "anna")
    anna.post(f"/jobs/{waiting}/discard", {"back": uid(11)})
    anna.get("/")
    anna.post(f"/jobs/{waiting}/release", {"back": uid(11)})
    assert f"Nothing was done: job {waiting} is discarded" in anna.get("/").text
    assert state(rows, waiting) == JobState.DISCARDED


def test_a_button_that_is_none_does_nothing(site: SiteSettings, waiting: int) -> None:
    anna = logged_in(site, "anna")
    assert anna.post(f"/jobs/{waiting}/erase").status_code == 404
    anna.post("/jobs/99999/retry")
    assert "Nothing was done" in anna.get("/").text
    assert anna.post("/jobs/1/retry", {"back": "//evil.example"}).headers["location"] == "/deliveries"
