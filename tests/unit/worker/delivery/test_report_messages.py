"""What becomes of a report whose values another standard does not take, and of a receiver that never ends."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom import config
from pydicom.valuerep import PersonName

from worker.delivery import fhir_bundle, hl7_message, mllp
from worker.delivery.report import Coded, Group, Report
from worker.destinations import Destination
from worker.errors import PeerRefused, PeerUnreachable

LUNGS = Coded("39607008", "SCT", "Lung")
SITE = Coded("363698007", "SCT", "Finding Site")
REPORT = Report(
    sop_uid="1.2.826.0.1.1",
    study_uid="1.2.826.0.1.2",
    patient_id="P1",
    issuer="",
    patient_name=PersonName("Canary^Anna"),
    birth_date="19700228",
    sex="F",
    accession_number="A1",
    placer_number="",
    study_at="20260102",
    made_at=datetime(2026, 1, 2, tzinfo=UTC),
    procedure=Coded("24627-2", "LN", "CT Chest"),
    remarks=(),
    groups=(Group(Coded("50196008", "SCT", "Ground glass"), ((SITE, LUNGS),), (), ()),),
    replaces=(),
)


@pytest.mark.parametrize(
    "changed",
    [
        replace(REPORT, patient_name=PersonName("Canary" * 40, validation_mode=config.IGNORE)),
        replace(REPORT, birth_date="19700230"),
        replace(REPORT, birth_date="Canary"),
    ],
)
def test_a_report_that_hl7_does_not_take_is_refused_unnamed(changed: Report) -> None:
    with pytest.raises(PeerRefused) as refused:
        hl7_message.message(changed, "SCLEROSCAN", "RIS")
    assert refused.value.code == "unsendable_file"
    assert "Canary" not in str(refused.value)
    assert "1970" not in str(refused.value)


def test_an_unreadable_acknowledgement_is_not_repeated() -> None:
    said = "MSH|^~\\&|RIS|H|S|H|20260102||ACK^R01^ACK|1|P|Canary\rMSA|AA|1\r"
    failure = hl7_message.read_acknowledgement(said, "1")
    assert isinstance(failure, PeerUnreachable)
    assert "Canary" not in f"{failure} {failure.detail}"


def test_no_sign_of_a_header_ends_a_message_early() -> None:
    changed = replace(
        REPORT, patient_name=PersonName("Canary\x1c\x0b^Anna", validation_mode=config.IGNORE), remarks=("one\x1c",)
    )
    message = hl7_message.message(changed, "SCLEROSCAN", "RIS")
    assert not set(message) & {"\x0b", "\x1c"}


def test_the_condition_of_a_create_is_whole_in_a_url() -> None:
    for entry in json.loads(fhir_bundle.bundle(REPORT))["entry"]:
        (known,) = entry["resource"]["identifier"]
        asked = parse_qs(urlsplit(f"?{entry['request']['ifNoneExist']}").query)
        assert asked == {"identifier": [f"{known['system']}|{known['value']}"]}


@pytest.fixture
def endless() -> Iterator[int]:
    """Someone who answers a sign now and then, and never all."""

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            for _ in range(60):
                time.sleep(0.05)
                try:
                    connection.sendall(b"\x0b")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=drip, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_an_answer_without_end_is_not_awaited(endless: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mllp, "ANSWER_TIMEOUT_S", 0.4)
    with pytest.raises(PeerUnreachable) as failed:
        mllp.exchange(Destination(url=f"mllp://127.0.0.1:{endless}"), "MSH")
    assert failed.value.code == "no_answer"
