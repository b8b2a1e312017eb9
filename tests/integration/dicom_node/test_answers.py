"""Answers to requests of ours reach who asked, also where the association's own thread looks for messages just then."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider

from db.address import ApplicationEntity
from db.commitment import CommitmentAnswer
from dicom_node.commitment.event_report import COMMITMENT_CLASS
from dicom_node.retrieve.dimse import STUDY_ROOT_GET, DimseArchive
from dicom_node.retrieve.request import RetrieveRequest
from dicom_node.retrieve.source import STUDY_ROOT_FIND, DicomSource
from dicom_node.scheduler.commitment_reporter import Callback, report_to
from dicom_node.spool.folder import Spool
from tests.support import services
from tests.support.node_senders import ROOT, association, ct_slice, encoded, send, series_uid, write
from worker.delivery import dicom
from worker.errors import PeerUnreachable

SUCCESS, PENDING = 0x0000, 0xFF00
VERIFICATION = "1.2.840.10008.1.1"
IMAGES = 3


class Checkpoint(threading.Event):
    """What the association's own thread passes before each look for messages; counts how often it came there."""

    def __init__(self) -> None:
        super().__init__()
        self._arrivals = 0
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        self._arrivals += 1
        return super().wait(timeout)

    def let_pass(self, thread: threading.Thread) -> None:
        """Let the thread look for messages at least once, then hold it again, unless what it saw ended it."""
        # The first may be of a look that began before.
        enough = self._arrivals + 2
        self.set()
        services.wait_until(lambda: self._arrivals >= enough or not thread.is_alive(), what="the other thread")
        self.clear()


class Messages(DIMSEServiceProvider):
    """Messages whose sender is interrupted between a request and the wait for its answer."""

    def send_msg(self, primitive: Any, context_id: int) -> None:
        super().send_msg(primitive, context_id)
        if primitive.MessageIDBeingRespondedTo is None:
            services.wait_until(lambda: not self.msg_queue.empty(), what="the answer")
            answer = self.msg_queue.queue[0]
            self.assoc._reactor_checkpoint.let_pass(self.assoc)
            assert answer in self.msg_queue.queue, "the association's own thread took the answer"


class InterruptedAssociation(Association):
    """An association of ours whose own thread always gets its turn at the worst moment."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.dimse = Messages(self)
        self._reactor_checkpoint = Checkpoint()


@pytest.fixture(autouse=True)
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynetdicom.ae.Association", InterruptedAssociation)


def _find(_event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
    match = Dataset()
    match.QueryRetrieveLevel, match.SeriesInstanceUID, match.NumberOfSeriesRelatedInstances = "SERIES", series_uid(), 3
    yield PENDING, match
    yield SUCCESS, None


def _get(_event: evt.Event) -> Iterator[Any]:
    yield IMAGES
    for number in range(IMAGES):
        ds = ct_slice(number)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        yield PENDING, ds


@contextmanager
def peer(store: Callable[[evt.Event], int] = lambda _: SUCCESS) -> Iterator[ApplicationEntity]:
    """A peer that answers whatever we ask."""
    entity = AE("PEER")
    entity.add_supported_context(CTImageStorage, ExplicitVRLittleEndian, scu_role=True, scp_role=True)
    entity.add_supported_context(COMMITMENT_CLASS, scu_role=False, scp_role=True)
    for sop_class in (VERIFICATION, STUDY_ROOT_FIND, STUDY_ROOT_GET):
        entity.add_supported_context(sop_class)
    handlers: list[tuple[Any, Callable[[evt.Event], Any]]] = [
        (evt.EVT_C_ECHO, lambda _: SUCCESS),
        (evt.EVT_C_STORE, store),
        (evt.EVT_C_FIND, _find),
        (evt.EVT_C_GET, _get),
        (evt.EVT_N_EVENT_REPORT, lambda _: (SUCCESS, None)),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield ApplicationEntity("PEER", "127.0.0.1", int(server.server_address[1]))
    finally:
        server.shutdown()


def test_the_answer_to_each_image_reaches_its_sender(tmp_path: Path) -> None:
    paths = write(tmp_path, [ct_slice(number) for number in range(IMAGES)])
    with peer() as one:
        receipts = dicom.store(paths, one, "SCLEROSCAN")
    assert [receipt.status for receipt in receipts] == [SUCCESS] * IMAGES


def test_an_abort_instead_of_an_answer_reaches_the_sender(tmp_path: Path) -> None:
    def abort(event: evt.Event) -> int:
        event.assoc.abort()
        return SUCCESS

    (path,) = write(tmp_path, [ct_slice(0)])
    with peer(abort) as one, pytest.raises(PeerUnreachable, match="broke off while an object was being sent"):
        dicom.store([path], one, "SCLEROSCAN")


def test_the_answer_to_an_echo_reaches_its_sender() -> None:
    with peer() as one:
        dicom.echo(one, "SCLEROSCAN")


def test_the_number_of_a_series_reaches_who_asked_for_it() -> None:
    with peer() as one:
        assert DicomSource(one, "SCLEROSCAN").number_of_instances(f"{ROOT}.1", series_uid()) == 3


def test_the_images_of_a_c_get_reach_who_asked_for_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    with peer() as one:
        assert DimseArchive(one, spool, "SCLEROSCAN").fetch(RetrieveRequest(f"{ROOT}.1")).images == IMAGES


def test_the_answer_to_a_report_reaches_its_sender() -> None:
    answer = CommitmentAnswer(1, f"{ROOT}.9", "PEER", "SCLEROSCAN", 0, datetime.now(UTC), ())
    with peer() as one:
        report_to(Callback(one), answer)


def test_the_answer_to_an_image_of_these_tests_reaches_it() -> None:
    with peer() as one, association(one.port) as opened:
        assert send(opened, encoded(ct_slice(0)), ct_slice(0).SOPInstanceUID) == SUCCESS
