"""Reports of archives on our own requests: who may report, what is kept of it, and what is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_role
from pynetdicom.association import Association
from sqlalchemy.orm import Session, sessionmaker

from dicom_node.answers import KEPT_FOR_WHO_ASKED
from dicom_node.commitment import reports
from dicom_node.commitment.event_report import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from dicom_node.commitment.mailbox import Mailbox
from dicom_node.commitment.reports import ReportTaker
from dicom_node.scp.listener import Address, Listener
from dicom_node.spool.folder import Spool
from tests.integration.dicom_node.commitment.test_commitment import ask
from tests.support import node_service, services


@contextmanager
def archive_calling(port: int, **role: bool) -> Iterator[Association]:
    entity = AE("PACS")
    entity.add_requested_context(COMMITMENT_CLASS)
    roles = [build_role(COMMITMENT_CLASS, **role)] if role else []
    opened = entity.associate(
        "127.0.0.1", port, ae_title="SCLEROSCAN", ext_neg=roles, evt_handlers=[KEPT_FOR_WHO_ASKED]
    )
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()


def report(transaction: str, failure: int | None = None) -> Dataset:
    said, item = Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.3", "1.2.3.4"
    said.TransactionUID = transaction
    if failure is None:
        said.ReferencedSOPSequence = [item]
    else:
        item.FailureReason = failure
        said.FailedSOPSequence = [item]
    return said


def send(opened: Association, said: Dataset, kind: int = 1) -> int:
    status, _ = opened.send_n_event_report(said, kind, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
    return int(status.Status)


def test_a_report_that_nobody_waits_for_is_taken_and_dropped(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions) as node, archive_calling(node.port, scp_role=True) as opened:
        assert [context.as_scp for context in opened.accepted_contexts] == [True]
        assert send(opened, report(generate_uid())) == 0x0000
        folder = node.spool / "commitments" / "reports"
        services.wait_until(lambda: folder.is_dir() and not list(folder.iterdir()), what="the scheduler")


def test_who_reports_may_not_ask(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions) as node:
        with archive_calling(node.port) as opened:
            assert not opened.is_established, "without the SCP's role nothing is offered"
        with archive_calling(node.port, scp_role=True, scu_role=True) as opened:
            (context,) = opened.accepted_contexts
            assert (context.as_scp, context.as_scu) == (True, False)
            # pynetdicom itself would not send it without the role.
            context._as_scu = True
            assert ask(opened, [("1.2.3", "1.2.3.4")]) == 0x0124


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[Mailbox, int]]:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    mailbox = Mailbox(spool)
    address = Address("SCLEROSCAN", "127.0.0.1", 0)
    with Listener(address, ReportTaker(mailbox).handlers(), [COMMITMENT_CLASS]) as one:
        yield mailbox, one.port


def test_a_report_is_durable_before_it_is_answered(listener: tuple[Mailbox, int]) -> None:
    mailbox, port = listener
    transaction = generate_uid()
    with archive_calling(port) as opened:
        assert send(opened, report(transaction, 0x0112), 2) == 0x0000
        (path,) = mailbox.reports()
    kept = mailbox.read_report(path)
    assert (kept.transaction_uid, kept.archive_ae) == (transaction, "PACS")
    assert kept.outcomes == (("1.2.3.4", "1.2.3", 0x0112),)


# In tests a warning is an error: that of pydicom would come before our own refusal of the UID.
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("fault", ["no transaction", "no uid", "no reason", "a path"])
def test_a_malformed_report_is_refused(listener: tuple[Mailbox, int], fault: str) -> None:
    mailbox, port = listener
    said = report(generate_uid(), 0x0112)
    if fault == "no transaction":
        del said.TransactionUID
    elif fault == "a path":
        said.add_new(0x00081195, "LO", "../../etc/1")
    else:
        del said.FailedSOPSequence[0]["FailureReason" if fault == "no reason" else "ReferencedSOPInstanceUID"]
    with archive_calling(port) as opened:
        assert send(opened, said, 2) == 0x0115
        assert send(opened, report(generate_uid())) == 0x0000, "the association goes on"
    assert len(mailbox.reports()) == 1


def test_reports_that_pile_up_are_refused(listener: tuple[Mailbox, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MOST_WAITING", 2)
    with archive_calling(listener[1]) as opened:
        assert [send(opened, report(generate_uid())) for _ in range(3)] == [0x0000, 0x0000, 0x0213]
