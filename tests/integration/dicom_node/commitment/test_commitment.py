"""Storage commitment as a modality asks for it: pynetdicom and Orthanc ask, the node answers from its rows."""

import queue
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.address import ApplicationEntity
from db.commitment import CommitmentRequest
from db.commitment_tables import Commitment
from db.tables import Instance
from dicom_node.answers import KEPT_FOR_WHO_ASKED
from dicom_node.commitment.event_report import COMMITMENT_CLASS, COMMITMENT_INSTANCE, SAME_ASSOCIATION_S
from dicom_node.commitment.mailbox import Mailbox
from dicom_node.scheduler.commitment_judge import CommitmentJudge
from dicom_node.scheduler.commitment_reporter import GIVE_UP, Callback, Reporter
from dicom_node.spool.folder import Spool
from tests.support import node_service, services
from tests.support.node_senders import ct_slice, encoded, send, series_uid, write

ANSWER_WITHIN_S = 60
ALL, SOME_FAILED = 1, 2
MODALITY = '[[peer]]\nae_title = "SCANNER"\nstorage_commitment = true\n'
NO_RULES = '[routing]\nrule = []\nchoice = { measure = "all" }\n'
Reports = "queue.Queue[tuple[int, Dataset]]"


def reporting(reports: Reports) -> list[tuple[object, object]]:
    """Handlers of a modality that keeps every N-EVENT-REPORT it takes."""

    def take(event: evt.Event) -> tuple[int, None]:
        reports.put((event.event_type, event.event_information))
        return 0x0000, None

    return [KEPT_FOR_WHO_ASKED, (evt.EVT_N_EVENT_REPORT, take)]


@contextmanager
def modality(port: int, reports: Reports) -> Iterator[Association]:
    """An association that carries images and asks for commitment."""
    entity = AE("SCANNER")
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    entity.add_requested_context(COMMITMENT_CLASS)
    opened = entity.associate("127.0.0.1", port, ae_title="SCLEROSCAN", evt_handlers=reporting(reports))
    assert opened.is_established
    try:
        yield opened
        # The reply to the last report leaves in another thread; a release before it would be a fault of ours.
        time.sleep(0.3)
    finally:
        if opened.is_established:
            opened.release()


def ask(opened: Association, images: list[tuple[str, str]], transaction: str = "", action: int = 1) -> int:
    """Request commitment for pairs (class, instance) and return the status of the answer."""
    asked = Dataset()
    asked.TransactionUID = transaction or generate_uid()
    asked.ReferencedSOPSequence = []
    for sop_class, sop_uid in images:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_uid
        asked.ReferencedSOPSequence.append(item)
    status, _ = opened.send_n_action(asked, action, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
    return int(status.Status)


def store(opened: Association, count: int, series: int = 1) -> list[tuple[str, str]]:
    """Send the first slices of a series; return (class, instance) of each."""
    images = [ct_slice(number, series) for number in range(count)]
    assert {send(opened, encoded(ds), ds.SOPInstanceUID) for ds in images} == {0x0000}
    return [(CTImageStorage, str(ds.SOPInstanceUID)) for ds in images]


def uids(report: Dataset, keyword: str) -> set[str]:
    return {item.ReferencedSOPInstanceUID for item in report.get(keyword) or ()}


@contextmanager
def answering(folder: Path, sessions: sessionmaker[Session], **settings: float) -> Iterator[node_service.RunningNode]:
    """A node whose site file lets the modality ask for commitment, over the association of its request."""
    path = folder / "modality.toml"
    path.write_text(MODALITY + NO_RULES)
    with node_service.running(folder, sessions, site_file=path, **settings) as node:
        yield node


@pytest.mark.parametrize("peers", ["", MODALITY.replace("true", "false"), MODALITY + 'addresses = ["10.9.8.7"]\n'])
def test_who_is_not_named_for_it_is_offered_no_commitment(
    tmp_path: Path, sessions: sessionmaker[Session], peers: str
) -> None:
    path = tmp_path / "site.toml"
    # Another peer of the same title lets the modality in from here.
    path.write_text(peers + ('[[peer]]\nae_title = "SCANNER"\n' if peers else "") + NO_RULES)
    with (
        node_service.running(tmp_path, sessions, site_file=path) as node,
        modality(node.port, queue.Queue()) as opened,
    ):
        assert {one.abstract_syntax: one.result for one in opened.rejected_contexts} == {COMMITMENT_CLASS: 3}
        assert store(opened, 2), "its images are taken all the same"


def test_a_modality_hears_of_kept_images_on_its_own_association(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    reports: Reports = queue.Queue()
    transaction = generate_uid()
    with answering(tmp_path, sessions) as node, modality(node.port, reports) as opened:
        images = store(opened, 4)
        assert ask(opened, images, transaction) == 0x0000
        kind, report = reports.get(timeout=ANSWER_WITHIN_S)
        assert (kind, report.TransactionUID) == (ALL, transaction)
        assert uids(report, "ReferencedSOPSequence") == {uid for _, uid in images}
        assert "FailedSOPSequence" not in report
        assert store(opened, 1, series=2), "the association still carries images"


def test_images_not_kept_or_of_other_class_are_listed_as_failed(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    reports: Reports = queue.Queue()
    with answering(tmp_path, sessions) as node, modality(node.port, reports) as opened:
        kept, other = store(opened, 2)
        never = (CTImageStorage, "1.2.3.4")
        assert ask(opened, [kept, (MRImageStorage, other[1]), never]) == 0x0000
        kind, report = reports.get(timeout=ANSWER_WITHIN_S)
        assert kind == SOME_FAILED
        assert uids(report, "ReferencedSOPSequence") == {kept[1]}
        reasons = {item.ReferencedSOPInstanceUID: item.FailureReason for item in report.FailedSOPSequence}
        assert reasons == {other[1]: 0x0119, "1.2.3.4": 0x0112}


def test_an_image_whose_file_is_gone_is_listed_as_failed(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    reports: Reports = queue.Queue()
    with answering(tmp_path, sessions) as node, modality(node.port, reports) as opened:
        (image,) = store(opened, 1)
        services.wait_until(lambda: node.status(series_uid()) is not None)
        with sessions.begin() as session:
            path = Path(session.scalars(select(Instance.path)).one())
        # The row comes first, and the file to its place after it.
        services.wait_until(path.is_file)
        path.unlink()
        assert ask(opened, [image]) == 0x0000
        _, report = reports.get(timeout=ANSWER_WITHIN_S)
        assert report.FailedSOPSequence[0].FailureReason == 0x0110


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_request_that_is_none_is_refused_at_once(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with answering(tmp_path, sessions) as node, modality(node.port, queue.Queue()) as opened:
        assert ask(opened, [(CTImageStorage, "1.2.3")], action=2) == 0x0123
        assert ask(opened, []) == 0x0115
        assert ask(opened, [(CTImageStorage, "../../outside")]) == 0x0115
        assert ask(opened, [(CTImageStorage, "1.2.3")], transaction="../../outside") == 0x0115
    assert not (tmp_path / "spool" / "commitments").exists()


@contextmanager
def site_file(folder: Path, port: int) -> Iterator[Path]:
    """A site file with one modality that listens on a port."""
    path = folder / "site.toml"
    path.write_text(f'{MODALITY}listens_at = "127.0.0.1:{port}"\n')
    yield path


@contextmanager
def listening_modality(port: int, reports: Reports, tls: ssl.SSLContext | None = None) -> Iterator[None]:
    """A modality that takes answers on a port of its own."""
    entity = AE("SCANNER")
    entity.add_supported_context(COMMITMENT_CLASS, scu_role=False, scp_role=True)
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=reporting(reports), ssl_context=tls)
    try:
        yield
    finally:
        server.shutdown()


def test_a_modality_that_listens_late_is_answered_at_its_address(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    reports: Reports = queue.Queue()
    port = services.free_port()
    with site_file(tmp_path, port) as path, node_service.running(tmp_path, sessions, site_file=path) as node:
        with modality(node.port, queue.Queue()) as opened:
            images = store(opened, 3)
            assert ask(opened, images) == 0x0000
        services.wait_until(lambda: attempts(sessions) > 0, ANSWER_WITHIN_S, "a first try")
        with listening_modality(port, reports):
            kind, report = reports.get(timeout=ANSWER_WITHIN_S)
        assert (kind, uids(report, "ReferencedSOPSequence")) == (ALL, {uid for _, uid in images})
        services.wait_until(lambda: commitment(sessions).state == "answered")


def test_a_modality_that_listens_by_tls_is_answered_by_tls(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    authority, reports, port = trustme.CA(), queue.Queue(), services.free_port()
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(files["ca"])
    own, theirs = authority.issue_cert("node.test"), authority.issue_cert("127.0.0.1")
    own.cert_chain_pems[0].write_to_path(files["cert"])
    own.private_key_pem.write_to_path(files["key"])
    modality_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files["ca"])
    modality_tls.verify_mode = ssl.CERT_REQUIRED
    theirs.configure_cert(modality_tls)
    path = tmp_path / "site.toml"
    path.write_text(f'{MODALITY}listens_at = "127.0.0.1:{port}"\ntls = true\n')
    request = CommitmentRequest("1.2.3", "SCANNER", "US", (("1.2.4", CTImageStorage),), datetime.now(UTC))
    Mailbox(Spool(tmp_path / "spool")).put(request)
    settings = {"tls_cert": files["cert"], "tls_key": files["key"], "tls_client_ca": files["ca"]}
    with (
        listening_modality(port, reports, modality_tls),
        node_service.running(tmp_path, sessions, site_file=path, **settings),
    ):
        kind, _ = reports.get(timeout=ANSWER_WITHIN_S)
    assert kind == SOME_FAILED


def commitment(sessions: sessionmaker[Session]) -> Commitment:
    with sessions.begin() as session:
        return session.scalars(select(Commitment)).one()


def attempts(sessions: sessionmaker[Session]) -> int:
    with sessions.begin() as session:
        return session.scalar(select(Commitment.attempts)) or 0


def test_orthanc_asks_as_a_modality_and_sees_success_and_failure(
    tmp_path: Path, sessions: sessionmaker[Session], orthanc: services.Orthanc
) -> None:
    path = tmp_path / "site.toml"
    peer = f'ae_title = "{orthanc.ae_title}"\nstorage_commitment = true\nlistens_at = "127.0.0.1:{orthanc.dicom_port}"'
    path.write_text(f"[[peer]]\n{peer}\n")
    files = write(tmp_path / "ct", [ct_slice(number) for number in range(3)])
    with node_service.running(tmp_path, sessions, site_file=path) as node:
        target = {"AET": "SCLEROSCAN", "Host": "127.0.0.1", "Port": node.port}
        orthanc.request("PUT", "/modalities/node", target)
        ids = [orthanc.request("POST", "/instances", file.read_bytes())["ID"] for file in files]
        orthanc.request("POST", "/modalities/node/store", ids)
        assert outcome(orthanc, [ct_slice(number) for number in range(3)])["Status"] == "Success"
        failed = outcome(orthanc, [ct_slice(number) for number in range(4)])
        assert failed["Status"] == "Failure"
        assert [one["SOPInstanceUID"] for one in failed["Failures"]] == [ct_slice(3).SOPInstanceUID]


def outcome(orthanc: services.Orthanc, images: list[Dataset]) -> dict[str, object]:
    """Let Orthanc ask for commitment and return its report once it is no longer pending."""
    pairs = {"DicomInstances": [[ds.SOPClassUID, ds.SOPInstanceUID] for ds in images]}
    asked = orthanc.request("POST", "/modalities/node/storage-commitment", pairs)
    path = f"/storage-commitment/{asked['ID']}"
    services.wait_until(lambda: orthanc.request("GET", path)["Status"] != "Pending", ANSWER_WITHIN_S, "an answer")
    return dict(orthanc.request("GET", path))


def test_an_acknowledged_request_is_answered_after_a_restart(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    reports: Reports = queue.Queue()
    port, requests = services.free_port(), Mailbox(Spool(tmp_path / "spool"))
    requests.put(CommitmentRequest("1.2.3", "SCANNER", "US", (("1.2.4", CTImageStorage),), datetime.now(UTC)))
    with (
        listening_modality(port, reports),
        site_file(tmp_path, port) as path,
        node_service.running(tmp_path, sessions, site_file=path),
    ):
        kind, report = reports.get(timeout=ANSWER_WITHIN_S)
    assert (kind, report.TransactionUID, uids(report, "FailedSOPSequence")) == (SOME_FAILED, "1.2.3", {"1.2.4"})
    assert requests.waiting() == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"transaction_uid": "1.2.3"}'])
def test_a_damaged_request_file_is_set_aside_and_blocks_nothing(
    tmp_path: Path, sessions: sessionmaker[Session], content: str
) -> None:
    folder = tmp_path / "spool" / "commitments"
    folder.mkdir(parents=True)
    (folder / "1.2.3-0.json").write_text(content)
    queued = Mailbox(Spool(tmp_path / "spool"))
    CommitmentJudge(queued, sessions).run(queued.waiting(), datetime.now(UTC))
    assert queued.waiting() == []
    assert [path.name for path in folder.iterdir()] == ["1.2.3-0.refused"]


def test_an_unanswerable_request_is_closed_with_the_reason(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    now = datetime.now(UTC)
    requests = Mailbox(Spool(tmp_path / "spool"))
    requests.put(CommitmentRequest("1.2.3", "SCANNER", "US", (("1.2.4", CTImageStorage),), now))
    CommitmentJudge(requests, sessions).run(requests.waiting(), now)
    Reporter(sessions, requests, {}).tick(now)
    assert commitment(sessions).state == "open"
    Reporter(sessions, requests, {}).tick(now + timedelta(seconds=SAME_ASSOCIATION_S + 1))
    assert (commitment(sessions).state, "site file" in str(commitment(sessions).reason)) == ("unanswerable", True)


def test_patience_with_a_modality_that_is_down_ends(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    now = datetime.now(UTC)
    requests = Mailbox(Spool(tmp_path / "spool"))
    requests.put(CommitmentRequest("1.2.3", "SCANNER", "US", (("1.2.4", CTImageStorage),), now))
    CommitmentJudge(requests, sessions).run(requests.waiting(), now)
    reporter = Reporter(
        sessions, requests, {"SCANNER": Callback(ApplicationEntity("SCANNER", "127.0.0.1", services.free_port()))}
    )
    reporter.tick(now)
    assert (commitment(sessions).state, commitment(sessions).attempts) == ("open", 1)
    assert commitment(sessions).due_at > now
    with sessions.begin() as session:
        session.execute(update(Commitment).values(due_at=now))
    reporter.tick(now + GIVE_UP + timedelta(seconds=1))
    assert commitment(sessions).state == "unanswerable"


def test_a_commitment_request_closes_its_series_early(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with answering(tmp_path, sessions, quiet_s=600.0, gap_wait_s=900.0) as node:
        with modality(node.port, queue.Queue()) as opened:
            assert ask(opened, store(opened, 5)) == 0x0000
        series = node.wait_until_closed(series_uid())
    assert (series.state, series.code) == ("complete", "commitment")
    assert series.detail["evidence"] == ["association_ended", "contiguous", "commitment"]
    log = (tmp_path / "node.log").read_text()
    assert "commitment judged" in log
    assert "CANARY" not in log


def test_images_sent_while_an_answer_is_on_its_way_are_taken(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    """The modality answers the report only after it has sent another image and seen that accepted."""
    statuses: queue.Queue[int] = queue.Queue()
    late, asked = ct_slice(9), threading.Event()

    def take(event: evt.Event) -> tuple[int, None]:
        # pynetdicom runs this handler beside who asked for commitment, who shall have the answer to that first.
        asked.wait(ANSWER_WITHIN_S)
        statuses.put(send(event.assoc, encoded(late), late.SOPInstanceUID))
        return 0x0000, None

    with answering(tmp_path, sessions) as node, modality(node.port, queue.Queue()) as opened:
        opened.bind(evt.EVT_N_EVENT_REPORT, take)
        assert ask(opened, store(opened, 2)) == 0x0000
        asked.set()
        assert statuses.get(timeout=ANSWER_WITHIN_S) == 0x0000
        services.wait_until(lambda: commitment(sessions).state == "answered", ANSWER_WITHIN_S)
        assert store(opened, 1, series=2)


@pytest.mark.parametrize("number", [2, 4], ids=["other bytes under a known UID", "one image more"])
def test_images_after_the_request_are_not_covered_by_it(
    tmp_path: Path, sessions: sessionmaker[Session], number: int
) -> None:
    with answering(tmp_path, sessions, quiet_s=600.0, gap_wait_s=900.0) as node:
        reports: Reports = queue.Queue()
        with modality(node.port, reports) as opened:
            assert ask(opened, store(opened, 4)) == 0x0000
            reports.get(timeout=ANSWER_WITHIN_S)
            with sessions.begin() as session:
                assert tracking.is_committed(session, series_uid())
            late = ct_slice(number)
            late.SeriesDescription = "sent later"
            time.sleep(0.5)
            assert send(opened, encoded(late), late.SOPInstanceUID) == 0x0000
        services.wait_until(lambda: instance_count(sessions) == 5, ANSWER_WITHIN_S)
        with sessions.begin() as session:
            assert not tracking.is_committed(session, series_uid())
        row = node.series(series_uid())
        assert row is not None
        assert row.state == "receiving"


def instance_count(sessions: sessionmaker[Session]) -> int:
    with sessions.begin() as session:
        return len(session.scalars(select(Instance.id)).all())


def test_an_image_of_another_study_is_not_committed_to(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    reports: Reports = queue.Queue()
    stranger = ct_slice(7)
    stranger.StudyInstanceUID = "1.2.3.4"
    with answering(tmp_path, sessions) as node, modality(node.port, reports) as opened:
        images = store(opened, 2)
        assert send(opened, encoded(stranger), stranger.SOPInstanceUID) == 0x0000
        assert ask(opened, [*images, (CTImageStorage, stranger.SOPInstanceUID)]) == 0x0000
        kind, report = reports.get(timeout=ANSWER_WITHIN_S)
        assert (kind, uids(report, "FailedSOPSequence")) == (SOME_FAILED, {stranger.SOPInstanceUID})
        assert report.FailedSOPSequence[0].FailureReason == 0x0112
