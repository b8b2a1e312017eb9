"""Images sent again after their time, through the whole node: a good result gives way to a whole series only."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydicom import Dataset
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from dicom_node.spool.folder import Spool
from tests.support import node_service, services
from tests.support.delivered import deliver, deliver_and_remove
from tests.support.node_senders import association, ct_slice, encoded, send, series_uid
from tests.support.node_service import RunningNode

SHORT = {"quiet_s": 0.5, "gap_wait_s": 1.0}
WHOLE = range(6)


def store(node: RunningNode, images: list[Dataset]) -> None:
    """Send images over one association."""
    with association(node.port) as opened:
        for ds in images:
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == 0x0000


def corrected(number: int) -> Dataset:
    ds = ct_slice(number)
    ds.SeriesDescription = "corrected"
    return ds


def received(node: RunningNode, images: list[Dataset]) -> Any:
    """Send images, wait until their series is closed because of them, and return its row."""
    before = node.series(series_uid())
    store(node, images)
    return node.wait_until_closed(series_uid(), after=before.last_arrival_at if before else None)


def results(node: RunningNode) -> list[tuple[int, str]]:
    with node.sessions.begin() as session:
        return [(row["job_id"], row["state"]) for row in audit.results(session)]


def test_a_truncated_resend_after_removal_leaves_the_result(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions, **SHORT) as node:
        received(node, [ct_slice(number) for number in WHOLE])
        job_id = deliver_and_remove(Spool(node.spool), sessions, series_uid(), datetime.now(UTC))
        series = received(node, [ct_slice(number) for number in range(3)])
        assert (series.state, series.code) == ("incomplete", "fewer_than_before")
        assert (series.detail["instances"], series.detail["not_sent_again"]) == (3, 3)
        assert (node.jobs(series_uid()), results(node)) == (["delivered"], [(job_id, "delivered")])
        series = received(node, [ct_slice(number) for number in range(3, 6)])
        assert (series.state, series.code) == ("complete", "contiguous")
        assert (node.jobs(series_uid()), results(node)) == (["delivered"], [(job_id, "delivered")])
        with sessions.begin() as session:
            assert tracking.verify_chain(session, series_uid()) is None


def test_a_truncated_resend_before_removal_changes_nothing(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions, **SHORT) as node:
        received(node, [ct_slice(number) for number in WHOLE])
        job_id = deliver(sessions, series_uid(), datetime.now(UTC))
        trail = node.trail(series_uid())
        store(node, [ct_slice(number) for number in range(3)])
        services.wait_until(lambda: not list((node.spool / "new").iterdir()))
        assert results(node) == [(job_id, "delivered")]
        assert node.trail(series_uid()) == trail


def test_corrected_slices_after_removal_wait_for_the_rest(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions, **SHORT) as node:
        received(node, [ct_slice(number) for number in WHOLE])
        job_id = deliver_and_remove(Spool(node.spool), sessions, series_uid(), datetime.now(UTC))
        series = received(node, [corrected(number) for number in range(3)])
        assert (series.state, series.code) == ("incomplete", "fewer_than_before")
        assert results(node) == [(job_id, "delivered")]
        series = received(node, [ct_slice(number) for number in range(3, 6)])
        assert (series.state, series.code) == ("complete", "contiguous")
        assert node.jobs(series_uid()) == ["superseded", "queued"]


def test_the_whole_series_again_undoes_its_corrected_part(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions, **SHORT) as node:
        received(node, [ct_slice(number) for number in WHOLE])
        job_id = deliver_and_remove(Spool(node.spool), sessions, series_uid(), datetime.now(UTC))
        received(node, [corrected(number) for number in range(3)])
        series = received(node, [ct_slice(number) for number in WHOLE])
        assert (series.state, series.detail["instances"]) == ("complete", 6)
        assert results(node) == [(job_id, "delivered")]
