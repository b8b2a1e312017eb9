"""`scleroscan fetch` brings a series home from the object store: it can be compared and measured again."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from compose import settings
from db import audit, tracking
from db.errors import IllegalTransition
from db.tables import Instance, Series
from db.tracking import JobIdentity
from dicom_node import scheduling
from tests.support import json_page, kept_site, object_stores
from tests.support.command import Said, run
from tests.support.kept_site import LONG_AFTER, KeptSite
from tests.support.node_senders import series_uid
from tests.support.object_stores import LOGIN, Place

Sessions = sessionmaker[Session]
ONE = series_uid(1)


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with object_stores.s3_server(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture
def place(request: pytest.FixtureRequest, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A folder beside Postgres, and a server that speaks S3 beside SQLite."""
    if database_url.startswith("postgresql"):
        return object_stores.folder(tmp_path / "store")
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    return object_stores.s3(request.getfixturevalue("s3_endpoint"))


@pytest.fixture
def site(tmp_path: Path, sessions: Sessions, place: Place) -> KeptSite:
    """A site all of whose files have left for the store."""
    one = kept_site.made(tmp_path, sessions, place)
    one.done(1, 2)
    one.keeper().round(LONG_AFTER)
    one.clean()
    assert one.here() == {}
    return one


def command(site: KeptSite, *words: str, **environ: str) -> Said:
    options = site.spool.root.parent / "options.json"
    options.write_text(json.dumps(site.place.options))
    url = site.sessions.kw["bind"].url.render_as_string(hide_password=False)
    own = {
        "DB_URL": url,
        "DICOM_NODE_SPOOL_DIR": str(site.spool.root),
        "WORKER_RESULTS_DIR": str(site.results.folder),
        "DICOM_NODE_STORE_URL": site.place.url,
        "DICOM_NODE_STORE_OPTIONS": str(options),
    }
    return run(*words, **(own | environ))


def of_one(files: dict[str, str]) -> dict[str, str]:
    """The files of series 1 alone, of which no result bears the name: those by images."""
    return {key: digest for key, digest in files.items() if ONE in key}


def test_a_series_comes_home_and_is_compared(site: KeptSite) -> None:
    before = site.away()
    said = command(site, "audit", "verify")
    assert said.returncode == 0, said
    assert "files of 2 series lie in the object store and were not compared" in said.stdout
    said = command(site, "fetch", ONE)
    assert (said.returncode, said.stdout) == (0, "3 images and 3 files of results are here, 6 of them from the store\n")
    here = site.here()
    assert len(here) == 6
    assert here.items() <= before.items()
    assert len(of_one(here)) == 3
    assert site.away() == before
    verified = json.loads(command(site, "audit", "verify", "--json").stdout)
    assert (verified["faults"], verified["in_store"]) == ([], 1)
    (a_result,) = site.results.folder.glob("*/sr.dcm")
    a_result.write_bytes(b"changed")
    assert "was changed after it was written" in command(site, "audit", "verify").stdout


def test_to_fetch_again_changes_nothing(site: KeptSite) -> None:
    printed = json.loads(command(site, "fetch", ONE, "--json").stdout)
    json_page.require_documented("fetch", printed)
    assert printed == {"series_uid": ONE, "images": 3, "results": 3, "copied": 6, "lost": 0}
    with site.sessions.begin() as session:
        trail = audit.trail(session, ONE)
        assert [event["code"] for event in trail[-2:]] == ["fetched", "results_fetched"]
        assert trail[-2]["who"].startswith("operator:")
        assert tracking.verify_series(session, ONE) is None
    printed = json.loads(command(site, "fetch", ONE, "--json").stdout)
    assert printed == {"series_uid": ONE, "images": 0, "results": 0, "copied": 0, "lost": 0}
    with site.sessions.begin() as session:
        assert audit.trail(session, ONE) == trail


def test_a_fetch_that_was_cut_off_goes_on(site: KeptSite) -> None:
    files, root = site.place.files()
    key = sorted(of_one(site.away()))[1]
    content = files.cat_file(f"{root}/{key}")
    files.pipe_file(f"{root}/{key}", content[:-1])
    said = command(site, "fetch", ONE)
    assert said.returncode == 1
    assert "is not what was stored there (store_differs)" in said.stderr
    with site.sessions.begin() as session:
        assert session.scalars(select(Series.fetched_at)).all() == [None, None]
    assert all(site.away()[key] == digest for key, digest in site.here().items())
    files.pipe_file(f"{root}/{key}", content)
    left = 6 - len(site.here())
    assert json.loads(command(site, "fetch", ONE, "--json").stdout)["copied"] == left


def test_what_came_home_stays_and_is_measured_again(site: KeptSite) -> None:
    command(site, "fetch", ONE)
    now = datetime.now(UTC)
    assert site.keeper().round(now + timedelta(days=29))
    assert site.clean(now + timedelta(days=29)) == 0
    with site.sessions.begin() as session:
        (shown,) = audit.status(session, ONE, kept_site.RETENTION)
        assert shown.images_until is not None
        assert timedelta(days=29) < shown.images_until - now < timedelta(days=31)
        job_id = tracking.measure(session, ONE, JobIdentity("n" * 64, "s" * 64), "operator:anna", now)
    with site.sessions.begin() as session:
        held = tracking.claim(session, job_id, "worker", tracking.LeaseTerms(60, 3), now)
        assert held is not None
        assert [Path(file.path).is_file() for file in held.files] == [True] * 3


def test_what_came_home_leaves_again_after_its_time(site: KeptSite) -> None:
    before = site.away()
    command(site, "fetch", ONE)
    later = datetime.now(UTC) + timedelta(days=400)
    assert site.clean(later) == 0
    assert site.keeper().round(later)
    assert site.clean(later) == 6
    assert (site.here(), site.away()) == ({}, before)


def test_why_nothing_comes_home_is_said_by_code(site: KeptSite) -> None:
    said = command(site, "fetch", "1.2.3.4")
    assert (said.returncode, "is unknown here" in said.stderr) == (1, True)
    with site.sessions.begin() as session, pytest.raises(IllegalTransition, match="fetch` brings home what has a copy"):
        tracking.measure(session, ONE, JobIdentity("n" * 64, "s" * 64), "operator:anna", LONG_AFTER)
    files, root = site.place.files()
    files.rm(f"{root}/images", recursive=True)
    said = command(site, "fetch", ONE)
    assert (said.returncode, "is not there (not_in_store)" in said.stderr) == (1, True)
    with site.sessions.begin() as session:
        session.execute(text("UPDATE instance SET stored_as = NULL"))
        session.execute(text("UPDATE job SET stored_as = NULL"))
    said = command(site, "fetch", ONE)
    assert "3 images of series" in said.stderr
    assert "(not_in_store)" in said.stderr


def test_a_file_that_lies_here_is_not_overwritten(site: KeptSite) -> None:
    with site.sessions.begin() as session:
        path = Path(session.scalars(select(Instance.path).where(Instance.series_uid == ONE)).all()[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"somebody else's")
    said = command(site, "fetch", ONE)
    assert (said.returncode, "is not overwritten: move it away (file_differs)" in said.stderr) == (1, True)
    assert path.read_bytes() == b"somebody else's"


def test_a_node_without_a_store_removes_as_before() -> None:
    assert scheduling.retention(settings.load({}).node).stored is False
