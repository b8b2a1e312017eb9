"""The status page in Chromium: an operator retries, releases and discards, a viewer may not, and it renews itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.engine import open_database
from tests.integration.compose.status_page.test_process import served
from tests.support import audited_site, databases, services, status_page
from tests.support.audited_site import Site, uid
from tests.support.viewer_page import ARGUMENTS

Rows = sessionmaker[Session]
TIMEOUT_MS = 60_000
REVIEWED = (11, 12, 13)
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("status-page")


@pytest.fixture(scope="module")
def url(folder: Path) -> str:
    return databases.sqlite(folder / "rows.db")


@pytest.fixture(scope="module")
def rows(url: str) -> Iterator[Rows]:
    """Two months of work, and three results that wait for a person."""
    maker = open_database(url)
    audited_site.fill(maker)
    later = Site(maker)
    later.wait(86400 * 60)
    for number in REVIEWED:
        later.receive(number)
        later.review(number, 45.0)
    yield maker
    maker.kw["bind"].dispose()


@pytest.fixture(scope="module")
def address(folder: Path, url: str, rows: Rows) -> Iterator[str]:
    status_page.site(folder, url)
    with served(folder, url, WORKER_DESTINATIONS="dicom://PACS@10.0.0.5:104") as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=services.program("chromium"), args=ARGUMENTS)
        yield one
        one.close()


@contextmanager
def person(browser: Browser, address: str, name: str, **options: object) -> Iterator[Page]:
    """Somebody who is logged in; whatever their browser complains of fails the test."""
    context = browser.new_context(viewport=options.pop("viewport", WIDE), **options)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    complaints: list[str] = []
    others: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(address) else others.append(asked.url))
    page.goto(f"{address}/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(status_page.PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Exams")).to_be_visible()
    yield page
    context.close()
    assert (complaints, others) == ([], [])


def state(rows: Rows, number: int) -> str:
    with rows.begin() as session:
        (one,) = audit.status(session, uid(number))
    return one.state


def deeds(rows: Rows, number: int) -> list[tuple[str, str | None]]:
    with rows.begin() as session:
        trail = audit.trail(session, uid(number))
    return [(one["who"], one["code"]) for one in trail if one["who"].endswith("@page") and one["subject"] == "job"]


def test_an_operator_releases_a_result_that_waits(browser: Browser, address: str, rows: Rows) -> None:
    with person(browser, address, "anna") as page:
        page.get_by_role("link", name="3 waits for a person").click()
        page.goto(f"{address}/exams/{uid(11)}")
        expect(page.get_by_text("implausible_lung_volume").first).to_be_visible()
        page.get_by_text("Release …").click()
        expect(page.get_by_text("You stand for it.")).to_be_visible()
        page.get_by_role("button", name="Release job").click()
        expect(page.get_by_text("objects are to be sent")).to_be_visible()
        expect(page.locator(".said")).to_contain_text("measured, being sent")
    assert (state(rows, 11), deeds(rows, 11)) == ("encoded", [("operator:anna@page", "released")])


def test_an_operator_discards_by_keyboard_alone(browser: Browser, address: str, rows: Rows) -> None:
    with person(browser, address, "anna") as page:
        page.goto(f"{address}/exams/{uid(12)}")
        page.keyboard.press("Tab")
        expect(page.get_by_text("To the content")).to_be_focused()
        page.keyboard.press("Enter")
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.innerText").startswith("Discard"):
                break
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator(".notice")).to_contain_text("is discarded")
    assert (state(rows, 12), deeds(rows, 12)) == ("discarded", [("operator:anna@page", "discarded")])


def test_an_operator_retries_a_dead_letter(browser: Browser, address: str, rows: Rows) -> None:
    with person(browser, address, "anna") as page:
        page.get_by_role("link", name="Deliveries").click()
        expect(page.get_by_text("out of resources")).to_have_count(2)
        page.get_by_role("button", name="Retry").first.click()
        expect(page.locator(".notice")).to_contain_text("is queued again")
    assert (state(rows, 5), deeds(rows, 5)) == ("queued", [("operator:anna@page", "retried")])


def test_a_viewer_sees_no_button_and_may_not(browser: Browser, address: str, rows: Rows) -> None:
    with person(browser, address, "bert") as page:
        page.goto(f"{address}/exams/{uid(13)}")
        expect(page.get_by_text("implausible_lung_volume").first).to_be_visible()
        expect(page.locator("[action^='/jobs/']")).to_have_count(0)
        csrf = page.locator(".logout [name=csrf]").get_attribute("value")
        answers = [
            page.request.post(
                f"{address}/jobs/{job}/{verb}", form={"csrf": csrf}, headers={"Sec-Fetch-Site": "same-origin"}
            ).status
            for job in range(1, 15)
            for verb in ("retry", "release", "discard", "recompute")
        ]
    assert set(answers) == {403}
    assert (state(rows, 13), deeds(rows, 13)) == ("review", [])


def test_what_comes_appears_without_a_reload(browser: Browser, address: str, rows: Rows) -> None:
    with person(browser, address, "bert") as page:
        page.evaluate("window.marked = true")
        own = page.locator(f"a[href='/exams/{uid(10)}']")
        own.focus()
        later = Site(rows)
        later.wait(86400 * 70)
        later.receive(21, "CT9")
        expect(page.locator(f"a[href='/exams/{uid(21)}']")).to_be_visible()
        expect(own).to_be_focused()
        with rows.begin() as session:
            tracking.open_job(session, uid(21), audited_site.FIRST, later.now)
        expect(page.locator("tr", has=page.locator(f"a[href='/exams/{uid(21)}']"))).to_contain_text(
            "waits for a worker"
        )
        assert page.evaluate("window.marked") is True


def test_what_is_open_stays_open_when_the_page_renews_itself(browser: Browser, address: str, rows: Rows) -> None:
    with person(browser, address, "anna") as page:
        page.goto(f"{address}/exams/{uid(13)}")
        page.get_by_text("Discard …").click()
        with person(browser, address, "bert") as other:
            other.goto(f"{address}/exams/{uid(13)}")
        expect(page.locator(".trail")).to_contain_text("viewer:bert@page")
        expect(page.get_by_role("button", name="Discard job")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_no_page_is_wider_than_its_screen(
    browser: Browser, address: str, viewport: dict[str, int], scheme: str
) -> None:
    with person(browser, address, "clara", viewport=viewport, color_scheme=scheme) as page:
        ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)")
        assert (sum(ground) < 200) == (scheme == "dark")
        for path in ("/", "/deliveries", f"/exams/{uid(1)}", f"/exams/{uid(5)}", f"/exams/{uid(1)}/course"):
            page.goto(f"{address}{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], path


def test_a_site_that_went_away_is_said_so(browser: Browser, folder: Path, url: str, rows: Rows) -> None:
    context = browser.new_context()
    page = context.new_page()
    status_page.site(folder, url)
    with served(folder, url) as port:
        page.goto(f"http://127.0.0.1:{port}/login")
        page.get_by_label("Name").fill("bert")
        page.get_by_label("Password").fill(status_page.PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#pulse")).to_contain_text("Renewed")
    expect(page.locator("#pulse")).to_contain_text("What you see may be old", timeout=TIMEOUT_MS)
    context.close()
