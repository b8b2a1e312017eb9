"""A site with a worklist: what the doctor, the preflight and the command say of it, and where images come from."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from compose import performing, preflight, processes, settings, worklist_check
from compose.check import Check
from compose.errors import UnusableSetting
from compose.monitor.watch import Watch
from db import tracking
from db.address import ApplicationEntity
from db.engine import open_database
from dicom_node.settings import NodeSettings
from dicom_node.spool.folder import Spool
from tests.support import databases, services, ups_server, workitems
from tests.support.command import run
from tests.support.ct import TinyCT
from tests.support.ups_server import UpsServer
from worker.delivery import dicom
from worker.errors import PeerUnreachable


@pytest.fixture
def ups() -> Iterator[UpsServer]:
    with ups_server.running() as one:
        yield one


@pytest.fixture(autouse=True)
def site_file(tmp_path: Path, ups: UpsServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a site with the worklist and an archive."""
    path = tmp_path / "site.toml"
    archive = "https://pacs.example/dicom-web"
    path.write_text(f'[[destination]]\nurl = "{archive}"\n[worklist]\nurl = "{ups.url}"\nlabel = "{workitems.LABEL}"\n')
    for name, value in {
        "DICOM_NODE_SITE_FILE": path,
        "DICOM_NODE_SPOOL_DIR": tmp_path / "spool",
        "DB_URL": databases.sqlite(tmp_path / "rows.db"),
    }.items():
        monkeypatch.setenv(name, str(value))
    return path


def said_of(ups: UpsServer) -> Check:
    """What the doctor says of the worklist."""
    (found,) = worklist_check.worklist(settings.load())
    assert found.name == f"UPS-RS {ups.url}"
    return found


def test_the_doctor_searches_and_claims_nothing(ups: UpsServer) -> None:
    assert said_of(ups).found == "answers: no item of ours waits"
    uid = ups.add(workitems.workitem())
    assert said_of(ups).found == "answers: an item of ours waits"
    assert (said_of(ups).ok, ups.state(uid)) == (True, "SCHEDULED")


def test_the_doctor_names_a_login_that_is_refused(ups: UpsServer) -> None:
    ups.token = "right"  # noqa: S105
    found = said_of(ups)
    assert not found.ok
    assert "refuses our login (HTTP 401)" in found.found
    assert "login in the site file" in found.mend


def test_the_doctor_says_where_cancels_are_not_heard(ups: UpsServer) -> None:
    assert said_of(ups).mend == ""
    sessions = open_database(settings.load().db_url)
    work = tracking.AskedWork("2.25.7", ups.url, "", "", "", {"inputs": [], "workitem": None})
    with sessions.begin() as session:
        tracking.take_workitem(session, work, "2.25.8", workitems.NOW)
        tracking.workitem_claimed(session, "2.25.7", False)
    sessions.kw["bind"].dispose()
    found = said_of(ups)
    assert (found.ok, found.mend) == (True, "it takes no subscription: requests to cancel are not heard")


def test_a_worklist_without_an_archive_stops_the_start(site_file: Path, ups: UpsServer) -> None:
    site_file.write_text(f'[worklist]\nurl = "{ups.url}"\nlabel = "AI"\n')
    with pytest.raises(UnusableSetting, match="needs a destination"):
        preflight.require_usable(settings.load())


def test_the_performer_is_a_part_where_there_is_a_worklist(site_file: Path) -> None:
    assert settings.load().has_worklist
    names = [one.name for one in processes.of_site(False, False, False, True)]
    assert names[-1] == "performer"
    site_file.write_text("")
    assert not settings.load().has_worklist
    assert worklist_check.worklist(settings.load()) == []


class OneLook(Event):
    """Lets the monitor look once."""

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002  the signature is of threading
        self.set()
        return True


def test_the_monitor_notices_a_performer_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_BROKER_URL", "memory://")
    site, clock = settings.load(), [0.0]
    watch, sessions = Watch(site, lambda: clock[0]), open_database(site.db_url)

    def look() -> Check:
        watch.run(OneLook())
        (found,) = (check for check in watch.checks if check.name == "perform")
        return found

    assert not look().ok
    with sessions.begin() as session:
        tracking.note_heartbeat(session, "perform", "performer@ct", workitems.NOW)
    assert look().ok
    clock[0] = site.monitor.late_s + 1
    assert look().found.startswith("stopped: gave no sign of life")
    sessions.kw["bind"].dispose()


def test_the_command_ends_at_once_without_a_worklist(site_file: Path) -> None:
    site_file.write_text("")
    said = run("perform")
    assert said.returncode == processes.UNUSABLE_SETTINGS
    assert "has no [worklist]" in said.stderr


@pytest.mark.parametrize(
    ("source", "place", "is_named"),
    [
        ("dicom://PACS@10.0.0.5:104", "PACS", True),
        ("dicom://PACS@10.0.0.5:104", "PACS2", False),
        ("https://pacs.example/rs", "https://pacs.example/rs/studies/1.2/series/1.3", True),
        ("https://pacs.example/rs/", "https://pacs.example/rs", True),
        ("https://pacs.example/rs", "https://pacs.example/rs2/studies/1.2", False),
        ("https://pacs.example/rs", "https://pacs.example.evil.example/rs/studies/1.2", False),
    ],
)
def test_only_the_sites_own_source_is_named(source: str, place: str, is_named: bool) -> None:
    assert performing.SourceOfSite(NodeSettings(), source).is_named(["OTHER", place]) is is_named


def test_images_come_from_orthanc_into_the_spool(orthanc: services.Orthanc, tmp_path: Path) -> None:
    ct = TinyCT()
    header = next(iter(ct.datasets()))
    dicom.store(ct.write(tmp_path / "ct"), ApplicationEntity.parse_url(orthanc.destination), "SCANNER")
    node = settings.load().node
    for source in (orthanc.destination, orthanc.dicom_web):
        performing.SourceOfSite(node, source).fetch(str(header.StudyInstanceUID), str(header.SeriesInstanceUID))
    assert len(list(Spool(node.spool_dir).waiting())) >= 12
    away = performing.SourceOfSite(node, f"dicom://PACS@127.0.0.1:{services.free_port()}")
    with pytest.raises(PeerUnreachable) as failure:
        away.fetch("1.2", "1.2.3")
    assert failure.value.code == "images_not_fetched"
