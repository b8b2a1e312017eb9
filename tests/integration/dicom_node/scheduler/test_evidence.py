"""Hard cases 1, 2 and 3 through the whole node: when a series is whole, and what comes after it."""

import itertools
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from db.tables import Instance
from db.tracking import ReceivingSeries
from dicom_node.errors import BadSetting, PeerAway
from dicom_node.retrieve.source import open_source
from dicom_node.scheduler.expectations import ASK_AGAIN, LEAVE_ALONE, Expectations
from tests.support import node_service, services
from tests.support.node_senders import ROOT, association, ct_slice, encoded, send, series_uid, storescu, write
from tests.support.query_archive import archive

SUCCESS = 0x0000
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def store(port: int, images: list[Dataset], pause_s: float = 0.0) -> None:
    """Send images over one association, with pauses between them."""
    with association(port) as opened:
        for ds in images:
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS
            time.sleep(pause_s)


def test_hard_case_01_a_pause_in_an_association_splits_nothing(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions, quiet_s=0.5, gap_wait_s=1.0) as node:
        with association(node.port) as opened:
            for number in range(8):
                ds = ct_slice(number)
                assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS
                if number == 4:
                    # With a whole stack behind; another series, sent later, is over its quiet time first.
                    store(node.port, [ct_slice(other, series=2) for other in range(5)])
                    node.wait_until_closed(series_uid(2))
            assert node.jobs(series_uid()) == []
        series = node.wait_until_closed(series_uid())
        assert (series.state, series.code, series.detail["instances"]) == ("complete", "contiguous", 8)
        assert node.jobs(series_uid()) == ["queued"]
        assert [e["to_state"] for e in node.trail(series_uid()) if e["subject"] == "series"] == [
            "receiving",
            "complete",
        ]


def test_hard_case_01_the_number_at_the_source_bridges_a_pause(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with (
        archive(lambda: 8) as port,
        node_service.running(
            tmp_path, sessions, quiet_s=0.5, gap_wait_s=60.0, source=f"dicom://PACS@127.0.0.1:{port}"
        ) as node,
    ):
        store(node.port, [ct_slice(number) for number in range(5)])
        # By quiet and geometry alone these five slices would be a series, before one that was sent later and is.
        store(node.port, [ct_slice(number, series=2) for number in range(8)])
        assert node.wait_until_closed(series_uid(2)).code == "expected_number"
        assert node.jobs(series_uid()) == []
        store(node.port, [ct_slice(number) for number in range(5, 8)])
        series = node.wait_until_closed(series_uid())
        assert (series.state, series.code, series.detail["expected"]) == ("complete", "expected_number", 8)
        assert node.jobs(series_uid()) == ["queued"]


def count(sessions: sessionmaker[Session]) -> int:
    with sessions.begin() as session:
        return session.scalar(select(func.count()).select_from(Instance)) or 0


def test_hard_case_02_interleaved_series_are_both_complete(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    images = [ct_slice(number, series) for number in range(6) for series in (1, 2)]
    with node_service.running(tmp_path, sessions) as node:
        store(node.port, images)
        for series in (1, 2):
            row = node.wait_until_closed(series_uid(series))
            assert (row.state, row.code, row.detail["instances"]) == ("complete", "contiguous", 6)
            assert node.jobs(row.uid) == ["queued"]


def test_hard_case_02_four_storescu_at_once_make_one_job(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    for part in range(4):
        write(tmp_path / f"part{part}", [ct_slice(number) for number in range(part, 40, 4)])
    with node_service.running(tmp_path, sessions) as node:
        senders = [storescu(node.port, tmp_path / f"part{part}") for part in range(4)]
        for sender in senders:
            said, _ = sender.communicate(timeout=120)
            assert sender.returncode == 0, said
        series = node.wait_until_closed(series_uid())
        assert (series.state, series.detail["instances"]) == ("complete", 40)
        assert node.jobs(series_uid()) == ["queued"]


def test_hard_case_02_a_study_over_two_associations_stays_one(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions) as node:
        parts = [[ct_slice(number, series) for number in range(6)] for series in (1, 2)]
        threads = [threading.Thread(target=store, args=(node.port, part, 0.05)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        rows = [node.wait_until_closed(series_uid(series)) for series in (1, 2)]
        assert {row.study_uid for row in rows} == {f"{ROOT}.1"}
        assert [row.state for row in rows] == ["complete", "complete"]


def test_hard_case_03_the_same_images_again_open_nothing_anew(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    images = [ct_slice(number) for number in range(6)]
    with node_service.running(tmp_path, sessions) as node:
        store(node.port, images)
        node.wait_until_closed(series_uid())
        store(node.port, images)
        services.wait_until(lambda: not list((node.spool / "new").iterdir()))
        assert node.jobs(series_uid()) == ["queued"]
        assert [e["to_state"] for e in node.trail(series_uid()) if e["subject"] == "series"] == [
            "receiving",
            "complete",
        ]


def test_hard_case_03_other_bytes_under_a_uid_supersede_the_job(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    with node_service.running(tmp_path, sessions) as node:
        store(node.port, [ct_slice(number) for number in range(6)])
        first = node.wait_until_closed(series_uid()).last_arrival_at
        corrected = ct_slice(3)
        corrected.SeriesDescription = "corrected"
        store(node.port, [corrected])
        series = node.wait_until_closed(series_uid(), after=first)
        assert (series.state, series.detail["instances"]) == ("complete", 6)
        assert node.jobs(series_uid()) == ["superseded", "queued"]
        assert [e["detail"] for e in node.trail(series_uid()) if e["code"] == "late_images"] == [
            {"late": 1, "replaced": 1}
        ]


def test_hard_case_03_five_late_slices_supersede_the_job_once(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions) as node:
        store(node.port, [ct_slice(number) for number in range(10)])
        first = node.wait_until_closed(series_uid()).last_arrival_at
        # Each over an association of its own: still one new job, not five.
        for number in range(10, 15):
            store(node.port, [ct_slice(number)])
        series = node.wait_until_closed(series_uid(), after=first)
        assert (series.state, series.detail["instances"]) == ("complete", 15)
        assert node.jobs(series_uid()) == ["superseded", "queued"]


def test_an_incomplete_series_opens_no_job_until_the_rest_comes(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    with (
        archive(lambda: 7) as port,
        node_service.running(
            tmp_path, sessions, quiet_s=0.5, gap_wait_s=2.0, source=f"dicom://PACS@127.0.0.1:{port}"
        ) as node,
    ):
        store(node.port, [ct_slice(number) for number in range(5)])
        series = node.wait_until_closed(series_uid())
        assert (series.state, series.code) == ("incomplete", "fewer_than_expected")
        assert (series.detail["instances"], series.detail["expected"]) == (5, 7)
        assert node.jobs(series_uid()) == []
        store(node.port, [ct_slice(number) for number in (5, 6)])
        series = node.wait_until_closed(series_uid(), after=series.last_arrival_at)
        assert (series.state, series.code) == ("complete", "expected_number")
        assert node.jobs(series_uid()) == ["queued"]


@pytest.mark.parametrize("how", ["dicom", "web"])
def test_orthanc_tells_the_number_of_images_by_c_find_and_qido(
    tmp_path: Path, orthanc: services.Orthanc, how: str
) -> None:
    source = open_source(orthanc.destination if how == "dicom" else orthanc.dicom_web, "SCLEROSCAN")
    for path in write(tmp_path / "ct", [ct_slice(number, 77) for number in range(4)]):
        orthanc.request("POST", "/instances", path.read_bytes())
    assert source.number_of_instances(f"{ROOT}.1", series_uid(77)) == 4
    assert source.number_of_instances(f"{ROOT}.1", f"{ROOT}.404") is None


@pytest.mark.parametrize("url", ["dicom://PACS@127.0.0.1:{}", "http://127.0.0.1:{}/dicom-web"])
def test_a_source_that_is_away_says_so(url: str) -> None:
    with pytest.raises(PeerAway):
        open_source(url.format(services.free_port()), "US").number_of_instances("1.2", "1.3")


def test_a_source_that_is_no_address_is_refused() -> None:
    for url in ("ftp://pacs", "dicom://PACS@host", "dicom://@host:104", "PACS"):
        with pytest.raises(BadSetting):
            open_source(url, "US")


class FakeSource:
    """A source with numbers of its own; None in the list: away."""

    def __init__(self, numbers: list[int | None]) -> None:
        self.numbers = itertools.chain(numbers)
        self.asked = 0

    def number_of_instances(self, _study_uid: str, _series_uid: str) -> int | None:
        self.asked += 1
        number = next(self.numbers)
        if number is None:
            raise PeerAway("away")
        return number


def quiet(last_arrival_at: datetime = NOW) -> ReceivingSeries:
    return ReceivingSeries("1.2", "1.1", NOW, last_arrival_at, ())


def test_a_source_is_asked_again_after_a_while_or_a_new_image() -> None:
    source = FakeSource([5, 6, 7])
    expectations = Expectations(source)
    second = timedelta(seconds=1)
    assert [expectations.number_of(quiet(), NOW + n * second) for n in range(5)] == [5] * 5
    assert expectations.number_of(quiet(NOW + second), NOW + 6 * second) == 6
    assert expectations.number_of(quiet(NOW + second), NOW + 6 * second + ASK_AGAIN) == 7
    assert source.asked == 3


def test_a_source_that_does_not_answer_is_left_alone_for_a_while() -> None:
    source = FakeSource([None, 4])
    expectations = Expectations(source)
    assert [expectations.number_of(quiet(), NOW + n * ASK_AGAIN) for n in range(3)] == [None] * 3
    assert source.asked == 1
    assert expectations.number_of(quiet(), NOW + LEAVE_ALONE) == 4


def test_an_absent_source_costs_its_evidence_and_nothing_else(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    away = f"dicom://PACS@127.0.0.1:{services.free_port()}"
    with node_service.running(tmp_path, sessions, source=away) as node:
        store(node.port, [ct_slice(number) for number in range(5)])
        series = node.wait_until_closed(series_uid())
        assert (series.state, series.code) == ("complete", "contiguous")
