"""A work item whose worklist, images or login are in trouble, or which another performer has, ends once, and right."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from tests.support import ups_server
from tests.support.tampering import unguarded
from tests.support.ups_server import CANCELED, COMPLETED, IN_PROGRESS, SCHEDULED, UpsServer
from tests.support.workitems import NOW, Site, later
from worker.errors import PeerUnreachable


@dataclass
class Source:
    """An archive that the site fetches from, known by one name."""

    name: str
    fetched: list[str] = field(default_factory=list)
    failures: int = 0

    def is_named(self, places: Sequence[str]) -> bool:
        return self.name in places

    def fetch(self, study_uid: str, series_uid: str) -> None:
        if self.failures:
            self.failures -= 1
            raise PeerUnreachable(f"{study_uid}: the archive is away", code="images_not_fetched")
        self.fetched.append(series_uid)


def test_of_two_performers_one_has_the_item(ups: UpsServer, site: Site) -> None:
    uid, ours = ups.add(site.item()), site.performer()
    ours.search(NOW)
    ups.items[uid].ProcedureStepState, ups.locks[uid] = IN_PROGRESS, "2.25.1"
    for _ in range(2):
        ours.advance(NOW)
    assert site.rows() == []
    assert len(ups.changes(uid)) == 1
    assert ups.locks[uid] == "2.25.1"


def test_a_claim_whose_answer_was_lost_goes_on_as_it_was(ups: UpsServer, site: Site) -> None:
    uid, killed = ups.add(site.item()), site.performer()
    killed.search(NOW)
    ups.unanswered = [f"PUT /dicom-web/workitems/{uid}/state"]
    killed.advance(NOW)
    assert (ups.state(uid), site.rows()) == (IN_PROGRESS, ["claiming"])
    ups.unanswered = []
    lock = ups.locks[uid]
    restarted = site.performer()
    restarted.search(NOW)
    restarted.advance(later(60))
    assert (site.rows(), site.row(uid).transaction_uid) == (["working"], lock)


def test_a_claim_that_another_took_meanwhile_is_left(ups: UpsServer, site: Site) -> None:
    uid, ours = ups.add(site.item()), site.performer()
    ours.search(NOW)
    ups.statuses = [503]
    ours.advance(NOW)
    ups.items[uid].ProcedureStepState, ups.locks[uid] = IN_PROGRESS, "2.25.1"
    ours.advance(later(60))
    assert site.rows() == []
    assert "ProcedureStepProgressInformationSequence" not in ups.items[uid]


@pytest.mark.parametrize("lost", ["POST", "PUT"])
def test_an_end_whose_answer_was_lost_is_one_end(ups: UpsServer, site: Site, lost: str) -> None:
    uid, killed = ups.add(site.item()), site.performer()
    site.receive()
    site.refuse()
    killed.search(NOW)
    for _ in range(2):
        killed.advance(NOW)
    assert site.rows() == ["canceling"]
    ups.unanswered = [f"{lost} /dicom-web/workitems/{uid}"]
    killed.advance(NOW)
    assert site.rows() == ["canceling"]
    ups.unanswered = []
    restarted = site.performer()
    restarted.search(later(60))
    restarted.advance(later(60))
    assert (ups.state(uid), site.rows()) == (CANCELED, ["canceled"])
    assert [to for _, to, _ in site.story(uid)] == ["working", "canceling", "canceled"]


def test_a_worklist_that_was_away_gets_its_items_back(site: Site, ups: UpsServer) -> None:
    uid, performer = ups.add(site.item()), site.performer()
    site.receive()
    ups.statuses = [503]
    performer.search(NOW)
    assert site.rows() == []
    performer.search(NOW)
    performer.advance(NOW)
    job_id = site.refuse()
    performer.advance(NOW)
    ups.statuses = [503] * 3
    for seconds in (1, 2, 3):
        performer.advance(later(seconds))
    assert site.rows() == ["canceling"]
    assert "503" in (site.row(uid).trouble or "")
    ups.statuses = []
    performer.advance(later(60))
    assert (ups.state(uid), site.job_state(job_id)) == (CANCELED, "rejected")


def test_a_server_that_is_gone_and_comes_back(sessions: sessionmaker[Session], site: Site, ups: UpsServer) -> None:
    items = UpsServer()
    with ups_server.running(server=items) as first:
        uid = first.add(site.item())
        site.worklist = site.worklist.model_copy(update={"url": first.url})
        performer = site.performer()
        performer.search(NOW)
        performer.advance(NOW)
        assert first.state(uid) == IN_PROGRESS
    site.receive()
    site.refuse()
    performer.search(NOW)
    for seconds in (0, 1, 2, 3):
        performer.advance(later(seconds))
    assert site.rows() == ["canceling"]
    with ups_server.running(server=items):
        performer.search(later(4))
        performer.advance(later(4))
        assert items.state(uid) == CANCELED


def test_a_wrong_login_has_a_code_and_is_mended(
    ups: UpsServer, site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = tmp_path / "token"
    token.write_text("wrong\n")
    ups.token, uid = "right", ups.add(site.item())
    performer = site.performer(token_file=token)
    performer.search(NOW)
    assert [getattr(record, "code", None) for record in caplog.records] == ["login_refused"]
    assert site.rows() == []
    token.write_text("right\n")
    performer.search(NOW)
    performer.advance(NOW)
    assert ups.state(uid) == IN_PROGRESS
    token.write_text("wrong\n")
    site.receive()
    site.refuse()
    for seconds in (1, 2):
        performer.advance(later(seconds))
    assert site.rows() == ["canceling"], "a login is mended by a person, and the item is still ours"
    token.write_text("right\n")
    performer.advance(later(86400))
    assert ups.state(uid) == CANCELED


def test_images_are_fetched_from_a_source_that_is_named(ups: UpsServer, site: Site) -> None:
    uid, source = ups.add(site.item(RetrieveAETitle="PACS")), Source("PACS", failures=1)
    performer = site.performer(source)
    performer.search(NOW)
    for seconds in (0, 0, 60, 61):
        performer.advance(later(seconds))
    assert source.fetched == [site.series_uid]
    assert site.row(uid).fetched_at == later(60)
    site.receive()
    performer.advance(later(62))
    assert [code for _, _, code in site.story(uid)] == ["claimed"]


def test_an_address_that_is_not_the_sources_is_not_called(ups: UpsServer, site: Site) -> None:
    uid, source = ups.add(site.item(RetrieveURL="https://elsewhere.example/studies/1.2")), Source("PACS")
    performer = site.performer(source)
    performer.search(NOW)
    for seconds in (0, 1, 599):
        performer.advance(later(seconds))
    assert (source.fetched, ups.state(uid)) == ([], IN_PROGRESS)
    for seconds in (601, 602):
        performer.advance(later(seconds))
    assert (ups.state(uid), site.row(uid).code) == (CANCELED, "images_not_here")
    assert site.row(uid).series_uid is None


def test_a_source_that_stays_away_ends_with_the_patience(ups: UpsServer, site: Site) -> None:
    uid, source = ups.add(site.item(RetrieveAETitle="PACS")), Source("PACS", failures=1000)
    performer = site.performer(source)
    performer.search(NOW)
    for seconds in range(0, 700, 20):
        performer.advance(later(seconds))
    assert (ups.state(uid), site.row(uid).code) == (CANCELED, "images_not_here")


def test_an_item_that_the_worklist_deleted_is_lost(ups: UpsServer, site: Site) -> None:
    uid, performer = ups.add(site.item()), site.performer()
    site.receive()
    performer.search(NOW)
    performer.advance(NOW)
    site.refuse()
    performer.advance(NOW)
    del ups.items[uid]
    performer.advance(NOW)
    assert (site.rows(), site.row(uid).code) == (["lost"], "workitem_unknown")
    assert site.story(uid)[-1] == ("canceling", "lost", "workitem_unknown")


def test_a_completed_item_stays_so_when_it_is_told_twice(ups: UpsServer, site: Site) -> None:
    site.receive()
    site.delivered_to("https://pacs.example/dicom-web")
    uid, performer = ups.add(site.item()), site.performer()
    performer.search(NOW)
    for _ in range(2):
        performer.advance(NOW)
    ups.unanswered = ["PUT"]
    performer.advance(NOW)
    assert (ups.state(uid), site.rows()) == (COMPLETED, ["completing"])
    ups.unanswered = []
    site.performer().advance(later(60))
    assert (ups.state(uid), site.rows()) == (COMPLETED, ["completed"])


def test_a_worklist_full_of_others_items_is_left_alone(ups: UpsServer, site: Site) -> None:
    uid = ups.add(site.item())
    ups.items[uid].WorklistLabel = "OTHER"
    performer = site.performer()
    performer.search(NOW)
    performer.advance(NOW)
    assert (ups.state(uid), site.rows()) == (SCHEDULED, [])


def test_a_row_that_was_changed_is_seen(ups: UpsServer, site: Site, database_url: str) -> None:
    ups.add(site.item())
    performer = site.performer()
    site.receive()
    performer.search(NOW)
    for _ in range(2):
        performer.advance(NOW)
    with site.sessions.begin() as session:
        assert tracking.verify_series(session, site.series_uid) is None
    with unguarded(database_url) as connection:
        connection.exec_driver_sql("UPDATE workitem SET requester = 'NOBODY'")
    with site.sessions.begin() as session:
        assert "was changed after its last event" in (tracking.verify_series(session, site.series_uid) or "")
