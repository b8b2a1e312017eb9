"""STOW-RS over TLS: Orthanc with a login and client certificates, and an archive that asks for tokens."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from sqlalchemy.orm import Session, sessionmaker

from db import audit
from db.tls_profile import TlsFiles
from tests.integration.dicom_node.test_calls_by_tls import issued
from tests.integration.worker.delivery.test_delivery import encoded_job
from tests.support import services, tls_relay, web_archive
from worker.delivery import archive as archives
from worker.delivery_task import DeliveryTask
from worker.destinations import Destination
from worker.errors import DeliveryFailed
from worker.results import files
from worker.settings import WorkerSettings
from worker.web_peer import ClientCredentials

PASSWORD, SECRET = "pass:w0rd", "s3cret&more"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> TlsFiles:
    return issued(tmp_path_factory.mktemp("tls") / "own", authority)


@pytest.fixture(scope="module")
def secure_orthanc(tmp_path_factory: pytest.TempPathFactory, own: TlsFiles) -> Iterator[str]:
    """An Orthanc that asks for a user, behind a proxy that asks for a certificate of the authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(own.authority))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(own.certificate, own.key)
    login = {"AuthenticationEnabled": True, "RegisteredUsers": {"scleroscan": PASSWORD}}
    with (
        services.orthanc(tmp_path_factory.mktemp("orthanc"), **login) as one,
        tls_relay.running(context, one.http_port) as port,
    ):
        yield f"https://127.0.0.1:{port}/dicom-web"


def written(path: Path, text: str) -> Path:
    path.write_text(text + "\n", encoding="utf-8")
    return path


def at_orthanc(url: str, own: TlsFiles, password: Path, **changes: object) -> Destination:
    lines: dict[str, object] = {"url": url, "user": "scleroscan"}
    lines |= {"password_file": password, "tls_ca": own.authority, "tls_cert": own.certificate, "tls_key": own.key}
    return Destination.model_validate(lines | changes)


def failure_of(destination: Destination, path: Path) -> tuple[str, bool]:
    with pytest.raises(DeliveryFailed) as failed:
        archives.of(destination, WorkerSettings()).store(path)
    assert PASSWORD not in str(failed.value)
    return failed.value.code, failed.value.retry


def test_orthanc_takes_seg_and_sr_by_tls_and_login(
    tmp_path: Path, secure_orthanc: str, own: TlsFiles, objects: list[files.WrittenFile]
) -> None:
    one = archives.of(at_orthanc(secure_orthanc, own, written(tmp_path / "p", PASSWORD)), WorkerSettings())
    one.ask()
    assert [one.store(file.path) for file in objects] == [0, 0]
    assert [one.store(file.path) for file in objects] == [0, 0], "sent again"


def test_orthanc_refuses_a_wrong_login_or_certificate(
    tmp_path: Path, secure_orthanc: str, own: TlsFiles, objects: list[files.WrittenFile]
) -> None:
    right, wrong = written(tmp_path / "right", PASSWORD), written(tmp_path / "wrong", "guess")
    assert failure_of(at_orthanc(secure_orthanc, own, wrong), objects[0].path) == ("login_refused", False)
    without = at_orthanc(secure_orthanc, own, right, tls_cert=None, tls_key=None)
    assert failure_of(without, objects[0].path) == ("tls_failed", True)
    strange = issued(tmp_path / "strange", trustme.CA())
    other_ca = at_orthanc(secure_orthanc, own, right, tls_ca=strange.authority)
    assert failure_of(other_ca, objects[0].path) == ("tls_failed", True)
    unreadable = at_orthanc(secure_orthanc, own, tmp_path / "none")
    assert failure_of(unreadable, objects[0].path) == ("login_unreadable", True)


@pytest.fixture
def tokens(own: TlsFiles) -> Iterator[web_archive.WebArchive]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    with web_archive.running(context) as one:
        yield one


def test_a_token_file_is_read_anew_for_each_request(
    tmp_path: Path, tokens: web_archive.WebArchive, own: TlsFiles, objects: list[files.WrittenFile]
) -> None:
    token = written(tmp_path / "token", "first")
    tokens.tokens = ["first"]
    destination = Destination(url=tokens.url, token_file=token, tls_ca=own.authority)
    one = archives.of(destination, WorkerSettings())
    assert one.store(objects[0].path) == 0
    tokens.tokens = ["second"]
    assert failure_of(destination, objects[0].path) == ("login_refused", False)
    written(token, "second")
    assert one.store(objects[0].path) == 0
    assert all(objects[0].path.read_bytes() in body for body in tokens.stored)


def by_oauth2(folder: Path, tokens: web_archive.WebArchive, own: TlsFiles) -> Destination:
    credentials = ClientCredentials(
        token_url=tokens.token_url,
        client_id="scleroscan",
        client_secret_file=written(folder / "secret", SECRET),
        scope="store",
    )
    return Destination(url=tokens.url, oauth2=credentials, tls_ca=own.authority)


def test_a_token_is_asked_for_once_and_again_when_refused(
    tmp_path: Path, tokens: web_archive.WebArchive, own: TlsFiles, objects: list[files.WrittenFile]
) -> None:
    one = archives.of(by_oauth2(tmp_path, tokens, own), WorkerSettings())
    assert [one.store(file.path) for file in objects] == [0, 0]
    asked = (f"scleroscan:{SECRET}", "grant_type=client_credentials&scope=store")
    assert tokens.token_requests == [asked]
    tokens.tokens = ["revoked"]
    assert one.store(objects[0].path) == 0
    assert tokens.token_requests == [asked, asked]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, ("login_refused", False)), (401, ("login_refused", False)), (503, ("token_server_away", True))],
)
def test_a_token_that_is_not_given_is_told(
    tmp_path: Path,
    tokens: web_archive.WebArchive,
    own: TlsFiles,
    objects: list[files.WrittenFile],
    status: int,
    expected: tuple[str, bool],
) -> None:
    tokens.token_status = status
    assert failure_of(by_oauth2(tmp_path, tokens, own), objects[0].path) == expected
    assert tokens.stored == []


def test_hard_case_30_each_instance_has_its_own_outcome(
    sessions: sessionmaker[Session],
    tmp_path: Path,
    tokens: web_archive.WebArchive,
    own: TlsFiles,
    objects: list[files.WrittenFile],
) -> None:
    tokens.tokens = ["t"]
    refused = {"00081155": {"vr": "UI", "Value": [objects[0].sop_uid]}, "00081197": {"vr": "US", "Value": [0x0122]}}
    tokens.answers = [
        (409, {}, json.dumps({"00081198": {"vr": "SQ", "Value": [refused]}}).encode()),
        (503, {"Retry-After": "120"}, b""),
    ]
    site_file = written(
        tmp_path / "site.toml",
        f'[[destination]]\nurl = "{tokens.url}"\ntoken_file = "{written(tmp_path / "token", "t")}"\n'
        f'tls_ca = "{own.authority}"\n',
    )
    job_id = encoded_job(sessions, objects, tokens.url)
    task = DeliveryTask(WorkerSettings(site_file=site_file), sessions, "delivery_task")
    task.run(job_id, tokens.url)
    with sessions.begin() as session:
        first, second = audit.status(session)[0].deliveries
    assert (first.state, first.code, first.status) == ("failed", "store_refused", 0x0122)
    assert (second.state, second.code) == ("pending", "archive_busy")


def test_nobody_listening_is_told_from_a_name_unknown(objects: list[files.WrittenFile]) -> None:
    for host, code in (("127.0.0.1", "connection_refused"), ("no-such-host.invalid", "name_unknown")):
        gone = Destination(url=f"https://{host}:{services.free_port()}/dicom-web")
        assert failure_of(gone, objects[0].path) == (code, True)
