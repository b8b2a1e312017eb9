"""Reports by HL7 v2 and FHIR: the numbers of the SR, each report once, every answer told as passing or final."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from pydicom import dcmread
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.audit import DeliveryStatus
from db.tls_profile import TlsFiles
from db.tracking import JobIdentity, JobResults, LeaseTerms, OutputFile
from tests.integration.dicom_node.test_calls_by_tls import issued
from tests.support import report_receivers, services
from tests.support.arrivals import arrivals
from worker import destinations
from worker.delivery import archive as archives
from worker.delivery import mllp, report
from worker.delivery_task import DeliveryTask
from worker.destinations import Destination
from worker.errors import DeliveryFailed
from worker.proof_task import ProofTask
from worker.results import files
from worker.settings import WorkerSettings

Sessions = sessionmaker[Session]
TOKEN = "t0ken"  # noqa: S105  of this test
PERCENT_8_5 = "OBX|4|NM|EXTENT-VOLUME^Extent, volume of finding divided by volume of lung^99SCLEROSCAN|1|8.5|%^^UCUM"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return issued(tmp_path_factory.mktemp("tls") / "own", trustme.CA())


def context(own: TlsFiles) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(own.certificate, own.key)
    return made


@pytest.fixture
def sr(objects: list[files.WrittenFile]) -> Path:
    return objects[1].path


def deliveries(sessions: Sessions, objects: list[files.WrittenFile], site_file: Path) -> list[DeliveryStatus]:
    """Have a job with SEG and SR delivered and proven to the only destination of a site file."""
    settings = WorkerSettings(site_file=site_file)
    now, ((url, *_),) = datetime.now(UTC), destinations.recipients(settings)
    outputs = tuple(OutputFile(f.kind, str(f.path), f.digest, f.sop_uid) for f in objects)
    with sessions.begin() as session:
        tracking.register(session, arrivals("1.2.3", patient_id="P", calling_ae="CT", received_at=now), now)
        tracking.close_series(session, "1.2.3", "complete", "quiet", {}, now)
        job_id = tracking.open_job(session, "1.2.3", JobIdentity("m" * 64, "s" * 64), now)
        held = tracking.claim(session, job_id, "worker", LeaseTerms(60, 3), now)
        assert held is not None
        recipients = destinations.recipients(settings)
        tracking.record_results(session, held, JobResults((), (), outputs), recipients, now)
    DeliveryTask(settings, sessions, "delivery_task").run(job_id, url)
    ProofTask(settings, sessions, "proof_task").run(job_id, url)
    with sessions.begin() as session:
        return list(audit.status(session)[0].deliveries)


def site_file(folder: Path, *lines: str) -> Path:
    path = folder / "site.toml"
    path.write_text("\n".join(["[[destination]]", *lines]))
    return path


def failure_of(destination: Destination, path: Path) -> tuple[str, bool]:
    with pytest.raises(DeliveryFailed) as failed:
        archives.of(destination, WorkerSettings()).store(path)
    return failed.value.code, failed.value.retry


def test_a_receiver_gets_the_report_alone_by_tls(
    tmp_path: Path, sessions: Sessions, objects: list[files.WrittenFile], own: TlsFiles
) -> None:
    with report_receivers.hl7(context(own)) as receiver:
        lines = f'url = "mllp+tls://127.0.0.1:{receiver.port}"', f'tls_ca = "{own.authority}"', 'receiver = "RIS"'
        found = deliveries(sessions, objects, site_file(tmp_path, *lines))
    assert [(one.kind, one.state, one.proof) for one in found] == [("sr", "sent", "not proven")]
    (message,) = receiver.messages
    parsed = parse_message(message, validation_level=VALIDATION_LEVEL.STRICT)
    assert parsed.validate()
    assert parsed.msh.msh_5.to_er7() == "RIS"
    patient = parsed.oru_r01_patient_result.oru_r01_patient.pid
    assert (patient.pid_3.to_er7(), patient.pid_5.to_er7()) == ("TINY^^^^MR", "PHANTOM^TINY")
    request = parsed.oru_r01_patient_result.oru_r01_order_observation.obr
    assert (request.obr_18.to_er7(), request.obr_4.to_er7()) == ("ACC1", "24627-2^CT Chest^LN")
    assert PERCENT_8_5 in message


def test_a_report_sent_twice_has_one_control_id(sr: Path) -> None:
    with report_receivers.hl7() as receiver:
        one = archives.of(Destination(url=f"mllp://127.0.0.1:{receiver.port}"), WorkerSettings())
        one.ask()
        # The second time it says that it has this one: 205, duplicate key.
        receiver.answers = ["MSA|AA|{id}", "MSA|AE|{id}\rERR|||205^Duplicate key^HL70357|E"]
        assert [one.store(sr), one.store(sr)] == [0, 0]
    first, second = receiver.messages
    assert first == second


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("MSA|AE|{id}", ("report_refused", False)),
        ("MSA|AE|{id}\rERR|||101^Required field missing^HL70357|E", ("report_refused", False)),
        ("MSA|AE|{id}\rERR|||207^Application internal error^HL70357|E", ("archive_busy", True)),
        ("MSA|AR|{id}", ("archive_busy", True)),
        ("MSA|AR|{id}\rERR|||201^Unsupported event code^HL70357|E", ("report_refused", False)),
        ("MSA|AA|OTHER", ("broke_off", True)),
        ("nothing of the kind", ("broke_off", True)),
    ],
)
def test_every_acknowledgement_is_final_or_of_the_moment(sr: Path, answer: str, expected: tuple[str, bool]) -> None:
    with report_receivers.hl7() as receiver:
        receiver.answers = [answer]
        assert failure_of(Destination(url=f"mllp://127.0.0.1:{receiver.port}"), sr) == expected


def test_a_receiver_that_cannot_be_reached_may_pass(
    sr: Path, own: TlsFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nobody = Destination(url=f"mllp://127.0.0.1:{services.free_port()}")
    assert failure_of(nobody, sr) == ("connection_refused", True)
    assert failure_of(Destination(url="mllp://no-such-host.invalid:2575"), sr) == ("name_unknown", True)
    monkeypatch.setattr(mllp, "ANSWER_TIMEOUT_S", 0.3)
    strange = issued(tmp_path / "strange", trustme.CA())
    with report_receivers.hl7(context(own)) as receiver:
        url = f"mllp+tls://127.0.0.1:{receiver.port}"
        assert failure_of(Destination(url=url, tls_ca=strange.authority), sr) == ("tls_failed", True)


def test_what_separates_in_hl7_is_escaped_in_names(tmp_path: Path, sr: Path) -> None:
    ds = dcmread(sr)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientID, ds.PatientName, ds.AccessionNumber = "P|1&2", "MÜLLER~A^JÖRG^^DR", "A^2&3"
    ds.save_as(tmp_path / "odd.dcm")
    with report_receivers.hl7() as receiver:
        archives.of(Destination(url=f"mllp://127.0.0.1:{receiver.port}"), WorkerSettings()).store(tmp_path / "odd.dcm")
    (patient,) = [line for line in receiver.messages[0].split("\r") if line.startswith("PID")]
    assert patient == "PID|1||P\\F\\1\\T\\2^^^^MR||MÜLLER\\R\\A^JÖRG^^^DR||19700101|O"
    assert "|A\\S\\2\\T\\3|" in receiver.messages[0]


def test_a_fhir_server_holds_the_report_and_says_so(
    tmp_path: Path, sessions: Sessions, objects: list[files.WrittenFile], own: TlsFiles
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with report_receivers.fhir(context(own)) as store:
        store.token = TOKEN
        lines = [f'url = "fhir+https://127.0.0.1:{store.port}/fhir"', f'tls_ca = "{own.authority}"']
        found = deliveries(sessions, objects, site_file(tmp_path, *lines, f'token_file = "{tmp_path / "token"}"'))
    assert [(one.kind, one.state, one.proof) for one in found] == [("sr", "committed", "query")]
    said = report.read(objects[1].path)
    kinds = [kind for kind, _ in store.held]
    assert (kinds.count("DiagnosticReport"), kinds.count("Observation")) == (1, len(said.groups))
    (made,) = [one for (kind, _), one in store.held.items() if kind == "DiagnosticReport"]
    assert (made["status"], made["subject"]["identifier"]["value"]) == ("preliminary", "TINY")
    assert made["basedOn"][0]["identifier"]["value"] == "ACC1"
    first = store.held["Observation", f"urn:dicom:uid|urn:oid:{said.sop_uid}#1"]
    assert first["component"][1]["valueQuantity"] == {
        "value": 8.5,
        "unit": "Percent",
        "system": "http://unitsofmeasure.org",
        "code": "%",
    }


def test_hard_case_31_a_fhir_report_sent_twice_is_there_once(sr: Path) -> None:
    with report_receivers.fhir() as store:
        one = archives.of(Destination(url=f"fhir+http://127.0.0.1:{store.port}/fhir"), WorkerSettings())
        one.ask()
        assert one.store(sr) == 0
        held = dict(store.held)
        assert one.store(sr) == 0
        assert (store.transactions, store.held) == (2, held)


@pytest.mark.parametrize(
    ("status", "issue", "expected"),
    [
        (400, "invalid", ("web_refused", False)),
        (409, "conflict", ("store_refused", False)),
        (409, "lock-error", ("archive_busy", True)),
        (422, "processing", ("web_refused", False)),
        (403, "forbidden", ("login_refused", False)),
        (429, "throttled", ("archive_busy", True)),
        (503, "transient", ("archive_busy", True)),
    ],
)
def test_an_operation_outcome_is_final_or_of_the_moment(
    sr: Path, status: int, issue: str, expected: tuple[str, bool]
) -> None:
    with report_receivers.fhir() as store:
        said = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": issue}]}
        store.answers = [(status, {}, said)]
        assert failure_of(Destination(url=f"fhir+http://127.0.0.1:{store.port}/fhir"), sr) == expected
        assert store.held == {}


def test_a_seg_is_no_report(objects: list[files.WrittenFile]) -> None:
    nobody = Destination(url=f"mllp://127.0.0.1:{services.free_port()}")
    assert failure_of(nobody, objects[0].path) == ("unsendable_file", False)


@pytest.mark.parametrize(
    "lines",
    [
        {"url": "mllp://10.0.0.5:2575", "objects": ["seg"]},
        {"url": "mllp://10.0.0.5:2575", "user": "u", "password_file": "/p"},
        {"url": "mllp://10.0.0.5:2575", "tls_ca": "/ca.pem"},
        {"url": "mllp://10.0.0.5"},
        {"url": "fhir+http://10.0.0.5/fhir", "token_file": "/t"},
        {"url": "fhir+https://10.0.0.5/fhir", "proof": "commitment"},
        {"url": "fhir+https://10.0.0.5/fhir", "receiver": "RIS"},
    ],
)
def test_lines_that_make_no_sense_are_refused(lines: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"mllp|https|commitment|HL7"):
        Destination.model_validate(lines)
