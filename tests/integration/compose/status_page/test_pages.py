"""What the pages show, to whom, and what is noted of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from compose.settings import SiteSettings
from compose.status_page import app
from db import audit, tracking
from tests.support import status_page
from tests.support.arrivals import arrivals
from tests.support.audited_site import uid
from tests.support.status_page import Person, logged_in

Rows = sessionmaker[Session]
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}\u202egnp.exe\x1b[31m"


def looks(rows: Rows, number: int) -> list[tuple[str, dict[str, str]]]:
    """Who looked at a series, and what was shown."""
    with rows.begin() as session:
        trail = audit.trail(session, uid(number))
    return [(one["who"], one["detail"]) for one in trail if one["code"] == "viewed"]


def test_the_list_has_every_series_with_its_state_and_code(site: SiteSettings) -> None:
    text = logged_in(site, "bert").get("/").text
    for number in range(1, 11):
        assert f'href="/exams/{uid(number)}"' in text
    for words in ("refused", "missing_slices", "left out by rule", "not whole", "fewer_than_expected", "20.0 %"):
        assert words in text
    for patient in ("P1<", "P2<", "PHANTOM"):
        assert patient not in text


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("state=rejected", {2}),
        ("state=failed", {5}),
        ("code=fewer_than_expected", {8}),
        ("code=missing_slices&sender=CT2", {2}),
        ("sender=RIS", {7}),
        ("until=2026-01-31", {1, 2, 3, 9}),
        ("since=2026-02-01&until=2026-12-31&state=delivered", {7, 10}),
        ("state=running", set()),
    ],
)
def test_the_list_is_filtered(site: SiteSettings, query: str, shown: set[int]) -> None:
    text = logged_in(site, "bert").get(f"/?{query}").text
    assert {number for number in range(1, 11) if f'href="/exams/{uid(number)}"' in text} == shown


@pytest.mark.parametrize(
    "query", ["state=lost", "page=0", "page=x", "page=99999", "since=yesterday", "until=9999-99-99"]
)
def test_a_filter_that_makes_no_sense_is_said_so(site: SiteSettings, query: str) -> None:
    assert logged_in(site, "bert").get(f"/?{query}").status_code == 400


def test_an_exam_says_why_it_stopped_and_what_to_do(site: SiteSettings) -> None:
    text = logged_in(site, "bert").get(f"/exams/{uid(2)}").text
    for words in ("missing_slices", "1 slice is missing", "Send the whole series again."):
        assert words in text
    text = logged_in(site, "bert").get(f"/exams/{uid(5)}").text
    for words in ("delivery_failed", "dead letter", "peer_refused", "out of resources"):
        assert words in text


def test_a_measured_exam_shows_extents_deliveries_and_its_trail(site: SiteSettings) -> None:
    text = logged_in(site, "bert").get(f"/exams/{uid(1)}").text
    for words in ("20.0 %", "12.0 %", "limited", "indeterminate", "SEG, disease", "dicom://VNA@10.0.0.6:104", "proven"):
        assert (words in text) == (words != "limited"), words
    for words in ("All jobs of this series", "operator:anna", "measured_again", "viewer:bert@page"):
        assert words in text


def test_patients_are_shown_to_those_allowed_alone(site: SiteSettings) -> None:
    path = f"/exams/{uid(1)}"
    for place in (path, f"{path}/course"):
        assert "P1</bdi>" in logged_in(site, "clara").get(place).text
        assert "P1</bdi>" not in logged_in(site, "bert").get(place).text
    assert logged_in(site, "bert").post("/patients", {"patient": "P1"}).status_code == 403
    assert 'name="patient"' not in logged_in(site, "bert").get("/").text


def test_a_description_is_shown_to_who_may_see_names_alone(site: SiteSettings, rows: Rows) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    with rows.begin() as session:
        tracking.register(session, arrivals("9.8.7", series_description="THORAX MEIER ANNA"), now)
    for path in ("/", "/exams/9.8.7", "/exams/9.8.7/course"):
        assert "THORAX MEIER ANNA" in logged_in(site, "clara").get(path).text
        assert "MEIER" not in logged_in(site, "bert").get(path).text
    assert "CT series" in logged_in(site, "bert").get("/exams/9.8.7").text


def test_every_opening_of_an_exam_is_an_event(site: SiteSettings, rows: Rows) -> None:
    bert, clara = logged_in(site, "bert"), logged_in(site, "clara")
    bert.get(f"/exams/{uid(2)}")
    clara.get(f"/exams/{uid(2)}")
    clara.get(f"/exams/{uid(2)}")
    assert looks(rows, 2) == [
        ("viewer:bert@page", {"shown": "images and numbers"}),
        *[("viewer:clara@page", {"shown": "images, numbers and patient"})] * 2,
    ]
    with rows.begin() as session:
        assert tracking.verify_series(session, uid(2)) is None


def test_a_page_that_renews_itself_is_no_new_look(site: SiteSettings, rows: Rows) -> None:
    bert = logged_in(site, "bert")
    bert.get(f"/exams/{uid(2)}")
    for _ in range(3):
        assert bert.get(f"/exams/{uid(2)}", **{"X-Live": "1"}).status_code == 200
    assert len(looks(rows, 2)) == 1
    # Who asks as the script does, without having opened the page, is noted all the same.
    logged_in(site, "clara").get(f"/exams/{uid(2)}", **{"X-Live": "1"})
    assert [who for who, _ in looks(rows, 2)] == ["viewer:bert@page", "viewer:clara@page"]


def test_the_part_that_renews_itself_is_the_part_alone(site: SiteSettings) -> None:
    bert = logged_in(site, "bert")
    part = bert.get("/", **{"X-Live": "1"}).text
    assert part.strip() in bert.get("/").text
    assert "<html" not in part


def test_a_search_for_a_patient_leads_to_their_course(site: SiteSettings, rows: Rows) -> None:
    clara = logged_in(site, "clara")
    found = clara.post("/patients", {"patient": " P1 "})
    assert found.headers["location"] == f"/exams/{uid(1)}/course"
    assert "P1" not in found.headers["location"]
    assert clara.get(found.headers["location"]).status_code == 200
    assert [who for who, _ in looks(rows, 1)] == ["viewer:clara@page"]
    assert clara.post("/patients", {"patient": "NOBODY"}).headers["location"] == "/"
    assert "No image of a patient with this ID" in clara.get("/").text


def test_deliveries_are_listed_by_state(site: SiteSettings) -> None:
    bert = logged_in(site, "bert")
    assert bert.get("/deliveries").text.count("out of resources") == 2
    waiting = bert.get("/deliveries?state=pending").text
    assert waiting.count("no answer") == 2
    assert "next try" in waiting
    assert bert.get("/deliveries?state=none").status_code == 400


def test_what_a_stranger_wrote_into_an_image_stays_text(site: SiteSettings, rows: Rows) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    images = arrivals("9.8.7", patient_id=HOSTILE, patient_name=HOSTILE, series_description=HOSTILE, calling_ae="<b>")
    with rows.begin() as session:
        tracking.register(session, images, now)
        tracking.close_series(session, "9.8.7", "incomplete", "fewer_than_expected", {HOSTILE: HOSTILE}, now)
    clara = logged_in(site, "clara")
    for path in ("/", "/exams/9.8.7", "/exams/9.8.7/course", "/?code=%3Cscript%3E&sender=%22%3E%3Cscript%3E"):
        text = clara.get(path).text
        assert "<script>" not in text.replace('<script src="/static/page.js" defer></script>', "")
        assert "<img src=x" not in text
        assert "49" not in text.split("{{")[0]
        assert "\u202e" not in text
        assert "\x1b" not in text
    assert "&lt;script&gt;alert(1)" in clara.get("/exams/9.8.7").text


def test_the_browser_may_load_nothing_of_others(site: SiteSettings) -> None:
    for answer in (Person(site).get("/login"), logged_in(site, "bert").get("/"), Person(site).get("/static/page.js")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert "http://" not in answer.text.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "https://" not in answer.text
        assert " style=" not in answer.text
        assert " onclick=" not in answer.text


def test_an_exam_that_nobody_knows_is_said_so(site: SiteSettings) -> None:
    bert = logged_in(site, "bert")
    for path in ("/exams/9.9", "/exams/9.9/course", "/exams/9.9/page.png", "/exams/1'%20OR%201=1"):
        assert bert.get(path).status_code == 404


def test_a_database_that_is_away_is_said_so(site: SiteSettings, tmp_path_factory: pytest.TempPathFactory) -> None:
    bert = logged_in(site, "bert")
    path = site.status_page.accounts.with_name("rows.db")
    path.rename(path.with_suffix(".away"))
    answer = Person(site)
    answer.log_in("bert")
    said = answer.get("/")
    assert said.status_code == 503
    assert "The database does not answer." in said.text
    assert bert.get("/login").status_code == 200


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a page holds open of Postgres until its process ends."""
    opened: list[Rows] = []

    def noted(opening: Callable[[str], Rows], url: str) -> Rows:
        opened.append(opening(url))
        return opened[-1]

    for name in ("open_for_reading", "open_database"):
        monkeypatch.setattr(app, name, partial(noted, getattr(app, name)))
    yield
    for one in opened:
        one.kw["bind"].dispose()


@pytest.mark.usefixtures("closed")
def test_what_no_row_can_hold_is_not_found(tmp_path: Path, database_url: str) -> None:
    anna = logged_in(status_page.site(tmp_path, database_url), "anna")
    for path in ("/exams/1%00", "/exams/1%00/course", "/exams/1%00/page.png", "/?code=%00", "/?sender=%00"):
        assert anna.get(path).status_code in (200, 404)
    assert anna.post("/patients", {"patient": "P\0"}).status_code in (303, 404)
    assert anna.post(f"/jobs/{10**30}/retry").status_code in (303, 404)
