"""Deliveries that fail in odd ways: each failure ends in the row, as passing or as final."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import audit
from db.audit import DeliveryStatus
from db.tables import Delivery, Output
from db.tracking import PendingObject
from dicom_node.scp.archive import Archive
from tests.integration.worker.delivery.test_delivery import encoded_job
from worker.delivery_task import DeliveryTask
from worker.results import files
from worker.settings import WorkerSettings

LONG_LABEL = "a" * 64


def deliveries(
    sessions: sessionmaker[Session], job_id: int, destination: str, **settings: object
) -> list[DeliveryStatus]:
    DeliveryTask(WorkerSettings.model_validate(settings), sessions, "delivery_task").run(job_id, destination)
    with sessions.begin() as session:
        return list(audit.status(session)[0].deliveries)


def test_a_host_that_no_server_of_names_knows_may_pass(
    sessions: sessionmaker[Session], objects: list[files.WrittenFile]
) -> None:
    destination = "dicom://PACS@no-such-host.invalid:104"
    found = deliveries(sessions, encoded_job(sessions, objects, destination), destination)
    assert [(d.state, d.attempts) for d in found] == [("pending", 1), ("pending", 1)]
    assert all("no-such-host.invalid" in (d.reason or "") for d in found)


def test_a_host_that_can_be_no_name_is_final(sessions: sessionmaker[Session], objects: list[files.WrittenFile]) -> None:
    destination = f"dicom://PACS@{LONG_LABEL}.example:104"
    found = deliveries(sessions, encoded_job(sessions, objects, destination), destination)
    assert [d.state for d in found] == ["failed", "failed"]


def test_a_result_that_the_disk_does_not_give_may_pass(
    sessions: sessionmaker[Session], archive: Archive, objects: list[files.WrittenFile]
) -> None:
    destination = f"dicom://ARCHIVE@127.0.0.1:{archive.port}"
    job_id = encoded_job(sessions, objects, destination)
    # A loop of links: opening it fails with ELOOP, as a share that is away fails with an error of its own.
    objects[0].path.unlink()
    objects[0].path.symlink_to(objects[0].path.name)
    assert [d.state for d in deliveries(sessions, job_id, destination)] == ["pending", "sent"]


class Stumbling(DeliveryTask):
    """Fails as nobody foresaw."""

    def _send(self, item: PendingObject, destination: str) -> int:
        raise ZeroDivisionError(f"{item.sop_uid} to {destination}")


def test_what_nobody_foresaw_is_noted_and_tried_again(
    sessions: sessionmaker[Session], objects: list[files.WrittenFile]
) -> None:
    destination = "dicom://PACS@127.0.0.1:104"
    job_id = encoded_job(sessions, objects, destination)
    with pytest.raises(ZeroDivisionError):
        Stumbling(WorkerSettings(), sessions, "delivery_task").run(job_id, destination)
    with sessions.begin() as session:
        first = audit.status(session)[0].deliveries[0]
        row = session.scalars(select(Delivery).order_by(Delivery.id)).first()
        codes = [event["code"] for event in audit.trail(session, audit.status(session)[0].series_uid)]
        assert row is not None
        # Within the first pause, not after the lease of an hour that it had.
        assert row.due_at < datetime.now(UTC) + timedelta(seconds=60)
    assert (first.state, codes[-1]) == ("pending", "unexpected_error")


def test_a_relative_path_of_an_old_row_is_found_again(
    sessions: sessionmaker[Session],
    archive: Archive,
    objects: list[files.WrittenFile],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    destination = f"dicom://ARCHIVE@127.0.0.1:{archive.port}"
    job_id = encoded_job(sessions, objects, destination)
    with sessions.begin() as session:
        for row in session.query(Output):
            row.path = os.fspath(Path("site") / "results" / Path(row.path).name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert [d.state for d in deliveries(sessions, job_id, destination, results_dir=tmp_path)] == ["sent", "sent"]


@pytest.mark.parametrize("forged", ["elsewhere/seg.dcm", "results/../elsewhere/seg.dcm", "results/link.dcm"])
def test_a_file_outside_the_results_folder_is_never_sent(
    sessions: sessionmaker[Session], archive: Archive, objects: list[files.WrittenFile], tmp_path: Path, forged: str
) -> None:
    destination = f"dicom://ARCHIVE@127.0.0.1:{archive.port}"
    job_id = encoded_job(sessions, objects, destination)
    (tmp_path / "elsewhere").mkdir()
    outside = objects[0].path.rename(tmp_path / "elsewhere" / "seg.dcm")
    (tmp_path / "results" / "link.dcm").symlink_to(outside)
    with sessions.begin() as session:
        for row in session.query(Output):
            if row.kind == "seg":
                row.path = str(tmp_path / forged)
    found = deliveries(sessions, job_id, destination)
    assert sorted(one.state for one in found) == ["failed", "sent"]
    assert [path.name for path in archive.instances()] == [f"{objects[1].sop_uid}.dcm"]
