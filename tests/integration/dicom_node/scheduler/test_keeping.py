"""Images and results leave for the object store first, whatever ends in between; what rows say is so."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.engine import open_database
from db.tables import Instance, Job
from db.tracking import Change
from dicom_node.errors import StoreAway
from dicom_node.scheduler.keeping import Keeper
from dicom_node.store.store import Store
from dicom_node.store.trouble import StoreTrouble
from tests.support import databases, kept_site, services
from tests.support.kept_site import LONG_AFTER, NOW, RETENTION, KeptSite
from tests.support.node_senders import ct_slice, series_uid
from tests.support.object_stores import Place, folder, memory

Sessions = sessionmaker[Session]


@pytest.fixture
def site(tmp_path: Path, sessions: Sessions) -> KeptSite:
    return kept_site.made(tmp_path, sessions, memory())


def test_files_leave_once_they_lie_in_the_store(tmp_path: Path, sessions: Sessions, place: Place) -> None:
    site = kept_site.made(tmp_path, sessions, place)
    site.done(1, 2)
    before = site.here()
    assert len(before) == 12
    assert site.clean() == 0
    assert site.keeper().round(NOW + timedelta(days=29))
    assert site.away() == {}
    assert site.keeper().round(LONG_AFTER)
    assert (site.away(), site.here()) == (before, before)
    assert site.clean() == 12
    assert (site.away(), site.here()) == (before, {})
    assert site.codes(1) == ["images_stored", "results_stored", "images_removed", "results_removed"]
    with sessions.begin() as session:
        image = session.scalars(select(Instance).where(Instance.series_uid == series_uid(1))).first()
        assert image is not None
        its_folder = f"{place.url}/images/{ct_slice(0).StudyInstanceUID}/{series_uid(1)}"
        assert image.stored_as == f"{its_folder}/{Path(image.path).name}"
        job = session.scalars(select(Job).where(Job.series_uid == series_uid(1))).one()
        assert job.stored_as == f"{place.url}/results/{job.key}"
        events = {event["code"]: event["detail"] for event in audit.trail(session, series_uid(1))}
        assert events["images_stored"] == {"images": 3, "store": its_folder}
        assert events["results_stored"] == {"files": 3, "store": job.stored_as}
        shown = session.execute(text("SELECT stored_as FROM audit_image WHERE sop_uid = :uid"), {"uid": image.sop_uid})
        assert shown.scalar() == image.stored_as
        assert session.execute(text("SELECT stored_as FROM audit_job")).scalars().all()[0].startswith(place.url)
    assert site.keeper().round(LONG_AFTER)
    assert site.clean() == 0


def test_a_store_that_is_away_delays_and_loses_nothing(site: KeptSite) -> None:
    site.done(1, 2)
    before, trouble = site.here(), StoreTrouble(site.spool.root)

    def away() -> Store:
        raise StoreAway("s3://bucket does not answer")

    keeper = Keeper(away, site.sessions, site.spool, RETENTION, site.results)
    assert not keeper.round(LONG_AFTER)
    assert not keeper.round(LONG_AFTER + timedelta(hours=1))
    assert (site.clean(), site.here()) == (0, before)
    noted = trouble.read()
    assert noted is not None
    assert (noted.code, noted.said, noted.since) == (
        "store_away",
        "s3://bucket does not answer",
        LONG_AFTER.isoformat(),
    )
    assert site.keeper().round(LONG_AFTER)
    assert trouble.read() is None
    assert site.clean() == 12
    assert site.away() == before


def test_one_file_that_differs_holds_back_its_series_alone(site: KeptSite) -> None:
    site.done(1, 2)
    with site.sessions.begin() as session:
        paths = sorted(session.scalars(select(Instance.path).where(Instance.series_uid == series_uid(1))))
    rotten = Path(paths[1])
    sound = rotten.read_bytes()
    rotten.write_bytes(sound[:-1] + b"\xff")
    assert not site.keeper().round(LONG_AFTER)
    noted = StoreTrouble(site.spool.root).read()
    assert noted is not None
    assert (noted.code, noted.waiting) == ("file_differs", 1)
    assert site.clean() == 9
    assert all(Path(path).exists() for path in paths)
    rotten.write_bytes(sound)
    assert site.keeper().round(LONG_AFTER)
    assert site.clean() == 3


def test_other_bytes_in_the_store_hold_back_and_stay(site: KeptSite) -> None:
    site.done(1)
    key = next(key for key in site.here() if key.startswith("images/"))
    files, root = site.place.files()
    files.pipe_file(f"{root}/{key}", b"somebody else's")
    assert not site.keeper().round(LONG_AFTER)
    noted = StoreTrouble(site.spool.root).read()
    assert noted is not None
    assert noted.code == "store_conflict"
    assert site.clean() == 3
    assert site.place.content()[key] == b"somebody else's"
    assert len([one for one in site.here() if one.startswith("images/")]) == 3


def test_no_image_without_a_copy_is_listed_or_removed(site: KeptSite) -> None:
    site.done(1)
    with site.sessions.begin() as session:
        assert tracking.removable(session, RETENTION, LONG_AFTER) == []
    deleted: list[str] = []
    # As where a late image came after the series was listed.
    with site.sessions.begin() as session:
        change = Change("dicom_node", LONG_AFTER)
        assert tracking.remove(session, series_uid(1), RETENTION, deleted.append, change) == 0
    assert deleted == []


def test_a_late_image_between_copy_and_removal_stays(site: KeptSite) -> None:
    site.done(1)
    assert site.keeper().round(LONG_AFTER)
    site.receive(1, range(3, 4))
    site.measure(1)
    assert site.clean(NOW + timedelta(days=31)) == 0
    assert site.keeper().round(LONG_AFTER)
    assert site.clean() == 10
    assert len(site.away()) == 10
    assert site.codes(1)[-1] == "results_removed"


def test_images_sent_again_are_compared_before_they_leave(site: KeptSite) -> None:
    site.done(1)
    assert site.keeper().round(LONG_AFTER)
    site.clean()
    site.receive(1)
    with site.sessions.begin() as session:
        assert session.scalars(select(Instance.stored_as)).all() == [None] * 3
    site.measure_again(1)
    files, root = site.place.files()
    files.rm(f"{root}/images", recursive=True)
    assert site.clean() == 0
    assert site.keeper().round(LONG_AFTER)
    assert site.clean() == 3
    assert len([key for key in site.away() if key.startswith("images/")]) == 3


def test_two_schedulers_at_once_note_each_copy_once(site: KeptSite) -> None:
    site.done(1, 2, 3)
    with ThreadPoolExecutor(2) as two:
        assert all(two.map(lambda _: site.keeper().round(LONG_AFTER), range(2)))
    assert site.clean() == 18
    for number in (1, 2, 3):
        assert sorted(site.codes(number)) == ["images_removed", "images_stored", "results_removed", "results_stored"]


def test_a_path_outside_the_spool_is_not_copied(site: KeptSite, tmp_path: Path) -> None:
    site.done(1)
    with site.sessions.begin() as session:
        session.execute(text("UPDATE instance SET path = :path"), {"path": str(tmp_path / "elsewhere.dcm")})
    assert not site.keeper().round(LONG_AFTER)
    assert [key for key in site.away() if key.startswith("images/")] == []


def test_the_scheduler_of_a_site_copies_what_is_due(tmp_path: Path) -> None:
    url = databases.sqlite(tmp_path / "rows.db")
    site = kept_site.made(tmp_path, open_database(url), folder(tmp_path / "store"))
    site.done(1)
    before = site.here()
    settings = {
        "DB_URL": url,
        "DICOM_NODE_SPOOL_DIR": str(site.spool.root),
        "DICOM_NODE_STORE_URL": site.place.url,
        "DICOM_NODE_RETENTION_RESULTS_DAYS": "1",
        "WORKER_RESULTS_DIR": str(site.results.folder),
        "WORKER_BROKER_URL": f"redis://127.0.0.1:{services.free_port()}/0",
    }
    command = [sys.executable, "-m", "scleroscan", "schedule"]
    with services.running(command, tmp_path / "log", env=os.environ | settings):
        services.wait_until(lambda: site.codes(1) == ["images_stored", "results_stored"], 90, "both copies")
    assert (site.away(), site.here()) == (before, before)
    site.sessions.kw["bind"].dispose()
