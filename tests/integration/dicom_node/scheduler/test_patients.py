"""Whose images are, through the whole node: strangers are set aside, corrections are seen, and no log names anybody."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.tables import Study
from dicom_node import site_file
from dicom_node.scheduler.registrar import Registrar
from dicom_node.scp.access_control import Peer
from dicom_node.settings import NodeSettings
from dicom_node.site_file import SiteFile
from dicom_node.spool.folder import Spool
from tests.support import node_service, services
from tests.support.delivered import deliver
from tests.support.node_senders import PATIENT, ROOT, association, ct_slice, encoded, header, send, series_uid
from tests.support.node_service import RunningNode

SHORT = {"quiet_s": 0.5, "gap_wait_s": 1.0}
OTHER_STUDY = f"{ROOT}.9"


def store(node: RunningNode, images: list[Dataset]) -> None:
    """Send images over one association; each is acknowledged."""
    with association(node.port) as opened:
        for ds in images:
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == 0x0000


def events(node: RunningNode, code: str) -> list[dict[str, object]]:
    return [row["detail"] for row in node.trail(series_uid()) if row["code"] == code]


def refused(node: RunningNode) -> list[str]:
    return sorted(path.name.split("-")[0] for path in (node.spool / "refused").iterdir())


def of_another_study(number: int) -> Dataset:
    ds = ct_slice(number)
    ds.StudyInstanceUID = OTHER_STUDY
    return ds


def of_another_patient(number: int) -> Dataset:
    ds = ct_slice(number)
    ds.PatientID, ds.PatientName = "CANARY-NEW", "CANARY^NEW"
    return ds


def test_images_of_another_study_are_set_aside(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions, **SHORT) as node:
        store(node, [ct_slice(number) for number in range(4)])
        before = node.wait_until_closed(series_uid())
        # One in the place of an image that is there, one beside them.
        strangers = [of_another_study(0), of_another_study(7)]
        store(node, strangers)
        services.wait_until(lambda: len(refused(node)) == 2)
        assert refused(node) == sorted(ds.SOPInstanceUID for ds in strangers)
        found = events(node, "study_conflict")
        assert {(one["study_uid"], one["other_study_uid"]) for one in found} == {(f"{ROOT}.1", OTHER_STUDY)}
        assert sorted(uid for one in found for uid in one["sop_uids"]) == refused(node)
        after = node.series(series_uid())
        assert after is not None
        assert (after.state, after.last_arrival_at) == (before.state, before.last_arrival_at)
        assert node.jobs(series_uid()) == ["queued"]
    assert "CANARY" not in (tmp_path / "node.log").read_text()


def test_a_corrected_patient_reaches_study_and_audit(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions, **SHORT) as node:
        store(node, [ct_slice(number) for number in range(4)])
        first = node.wait_until_closed(series_uid())
        deliver(sessions, series_uid(), datetime.now(UTC))
        store(node, [of_another_patient(number) for number in range(4)])
        node.wait_until_closed(series_uid(), after=first.last_arrival_at)
        services.wait_until(lambda: node.jobs(series_uid()) == ["superseded", "queued"])
        deliver(sessions, series_uid(), datetime.now(UTC))
        with sessions.begin() as session:
            study = session.get_one(Study, f"{ROOT}.1")
            assert (study.patient_id, study.patient_name) == ("CANARY-NEW", "CANARY^NEW")
            assert [row["patient_id"] for row in audit.results(session)] == ["CANARY-NEW"]
            assert tracking.verify_chain(session, series_uid()) is None
        (correction,) = events(node, "patient_corrected")
        old = {"patient_id": "CANARY-ID", "patient_name": PATIENT, "accession_number": "CANARY-ACC"}
        new = {"patient_id": "CANARY-NEW", "patient_name": "CANARY^NEW", "accession_number": "CANARY-ACC"}
        assert correction == {"from": [old], "to": new, "study": old}
    assert "CANARY" not in (tmp_path / "node.log").read_text()


def test_a_half_corrected_series_says_so(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions, **SHORT) as node:
        store(node, [ct_slice(number) for number in range(4)])
        first = node.wait_until_closed(series_uid())
        store(node, [of_another_patient(number) for number in range(2)])
        node.wait_until_closed(series_uid(), after=first.last_arrival_at)
        assert events(node, "several_patients") == [{"patient_ids": ["CANARY-ID", "CANARY-NEW"]}]
        assert events(node, "patient_corrected") == []
    assert "CANARY" not in (tmp_path / "node.log").read_text()


def test_where_anybody_sends_a_forged_patient_is_set_aside(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    for ds in (ct_slice(0), ct_slice(1), of_another_patient(0)):
        content = encoded(ds)
        spool.keep(ds.SOPInstanceUID, header(ds.SOPInstanceUID), content)
    Registrar(spool, sessions, may_correct_patients=False).run(datetime.now(UTC))
    (aside,) = spool.refused.iterdir()
    assert aside.name.split("-")[0] == ct_slice(0).SOPInstanceUID
    assert aside.name.endswith(".identity_conflict.dcm")


@pytest.mark.parametrize(
    ("given", "is_open"),
    [({}, False), ({"open": True}, True), ({"host": "10.0.0.5"}, True), ({"open": True, "tls_client_ca": "ca"}, False)],
)
def test_only_an_open_site_distrusts_its_senders(given: dict[str, Any], is_open: bool) -> None:
    assert site_file.is_open(NodeSettings(**given), SiteFile()) is is_open
    assert not site_file.is_open(NodeSettings(**given), SiteFile(peer=(Peer(ae_title="CT1"),)))
