"""Who is let in: hard case 9 on real sockets, with DCMTK and pynetdicom as callers."""

import logging
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association

from dicom_node.answers import KEPT_FOR_WHO_ASKED
from dicom_node.scp.access_control import CALLED_NOT_RECOGNIZED, CALLING_NOT_RECOGNIZED, AccessControl, Peer
from dicom_node.scp.handlers import Receiver
from dicom_node.scp.listener import Address, Listener, Security
from dicom_node.scp.tls import server_context
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from tests.support import services
from tests.support.node_senders import association, ct_slice, encoded, send, write

# The type of an A-ABORT PDU (PS3.8 9.3.8).
ABORT = b"\x07"
SCANNER = Peer(ae_title="SCANNER", addresses=("127.0.0.0/8",))
ELSEWHERE = Peer(ae_title="SCANNER", addresses=("192.0.2.0/24",))


@dataclass(frozen=True)
class Pki:
    """One authority, the node's certificate, and where they lie as PEM files."""

    authority: trustme.CA
    folder: Path

    def client(self, name: str, **validity: datetime) -> tuple[Path, Path]:
        """Issue a client certificate; return its PEM file and that of its key."""
        issued = self.authority.issue_cert(f"{name}.test", **validity)
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        return certificate, key


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    own = authority.issue_cert("127.0.0.1", "localhost")
    own.cert_chain_pems[0].write_to_path(folder / "node.pem")
    own.private_key_pem.write_to_path(folder / "node.key")
    return Pki(authority, folder)


class Node:
    """A listener with access control over a spool."""

    def __init__(self, folder: Path, security: Security) -> None:
        self.spool = Spool(folder / "spool")
        self.spool.prepare()
        limits = Address("SCLEROSCAN", "127.0.0.1", 0, request_timeout_s=5)
        self.listener = Listener(limits, Receiver(self.spool).handlers(), CT_CLASSES, security)
        self.port = self.listener.port


@pytest.fixture
def secure(tmp_path: Path, pki: Pki) -> Iterator[Node]:
    tls = server_context(pki.folder / "node.pem", pki.folder / "node.key", pki.folder / "ca.pem")
    node = Node(tmp_path, Security(tls=tls))
    with node.listener:
        yield node


def ask(port: int, calling: str = "SCANNER", called: str = "SCLEROSCAN", **options: object) -> Association:
    """Ask for an association and return what became of it."""
    entity = AE(calling)
    entity.acse_timeout = entity.network_timeout = 10
    return entity.associate(
        "127.0.0.1",
        port,
        ae_title=called,
        contexts=[build_context(CTImageStorage, ExplicitVRLittleEndian)],
        evt_handlers=[KEPT_FOR_WHO_ASKED],
        **options,
    )


def rejection(asked: Association) -> tuple[int, int, int]:
    assert asked.is_rejected
    answer = asked.acceptor.primitive
    return answer.result, answer.result_source, answer.diagnostic


def test_a_title_with_control_characters_opens_no_association(tmp_path: Path) -> None:
    node, sent = Node(tmp_path, Security()), []
    with node.listener:
        context = build_context(CTImageStorage, ExplicitVRLittleEndian)
        kept = [(evt.EVT_DATA_SENT, lambda event: sent.append(event.data))]
        AE("SCANNER").associate("127.0.0.1", node.port, contexts=[context], evt_handlers=kept).release()
        bent = sent[0].replace(b"SCANNER".ljust(16), b"\x1b[2JSCANNER".ljust(16))
        with socket.create_connection(("127.0.0.1", node.port), timeout=30) as asking:
            asking.sendall(bent)
            assert asking.recv(1) == ABORT


def test_hard_case_09_an_unknown_calling_ae_is_rejected_for_good(tmp_path: Path) -> None:
    node = Node(tmp_path, Security(AccessControl("SCLEROSCAN", (SCANNER,))))
    with node.listener:
        assert rejection(ask(node.port, calling="STRANGER")) == CALLING_NOT_RECOGNIZED
        with association(node.port) as opened:
            assert send(opened, encoded(ct_slice(0)), ct_slice(0).SOPInstanceUID) == 0x0000


def test_hard_case_09_a_known_ae_at_another_address_is_rejected(tmp_path: Path) -> None:
    node = Node(tmp_path, Security(AccessControl("SCLEROSCAN", (ELSEWHERE,))))
    with node.listener:
        assert rejection(ask(node.port)) == CALLING_NOT_RECOGNIZED


def test_hard_case_09_a_wrong_called_ae_is_rejected_with_reason(tmp_path: Path) -> None:
    write(tmp_path / "ct", [ct_slice(0)])
    node = Node(tmp_path, Security(AccessControl("SCLEROSCAN")))
    with node.listener:
        assert rejection(ask(node.port, called="OTHER")) == CALLED_NOT_RECOGNIZED
        command = [services.program("storescu"), "-aec", "OTHER", "+sd", "127.0.0.1", str(node.port)]
        said = subprocess.run([*command, str(tmp_path / "ct")], capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode != 0
    assert "Called AE Title Not Recognized" in said.stdout + said.stderr
    assert node.spool.waiting() == []


def test_hard_case_09_a_wrong_sop_class_gets_no_context(tmp_path: Path) -> None:
    node = Node(tmp_path, Security(AccessControl("SCLEROSCAN")))
    with node.listener:
        contexts = [build_context(MRImageStorage), build_context(CTImageStorage)]
        asked = AE("SCANNER").associate("127.0.0.1", node.port, ae_title="SCLEROSCAN", contexts=contexts)
        assert [context.abstract_syntax for context in asked.accepted_contexts] == [CTImageStorage]
        asked.release()


def test_a_rejected_caller_takes_no_place_from_others(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    limits = Address("SCLEROSCAN", "127.0.0.1", 0, max_associations=1)
    security = Security(AccessControl("SCLEROSCAN", (SCANNER,)))
    with Listener(limits, Receiver(spool).handlers(), CT_CLASSES, security) as listener:
        for _ in range(3):
            assert ask(listener.port, calling="STRANGER").is_rejected
        opened = ask(listener.port)
        assert opened.is_established
        opened.release()


def client_context(pki: Pki, pair: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pki.folder / "ca.pem"))
    if pair:
        context.load_cert_chain(*pair)
    return context


def over_tls(node: Node, context: ssl.SSLContext) -> bool:
    """Whether an association comes to be over TLS, and an image over it."""
    asked = ask(node.port, tls_args=(context, "127.0.0.1"))
    established = bool(asked.is_established)
    if established:
        ds = ct_slice(0)
        assert send(asked, encoded(ds), ds.SOPInstanceUID) == 0x0000
        asked.release()
    return established


def alert(node: Node, context: ssl.SSLContext) -> str:
    """The alert with which the node ends a handshake; in TLS 1.3 a client sees it when it first reads."""
    with (
        socket.create_connection(("127.0.0.1", node.port), timeout=30) as plain,
        pytest.raises(ssl.SSLError) as refused,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.recv(1)
    return str(refused.value.reason)


def test_a_certificate_of_our_authority_lets_a_client_send(secure: Node, pki: Pki) -> None:
    assert over_tls(secure, client_context(pki, pki.client("scanner")))
    assert len(secure.spool.waiting()) == 1


def test_hard_case_09_an_expired_client_certificate_is_refused(secure: Node, pki: Pki) -> None:
    now = datetime.now(UTC)
    expired = pki.client("expired", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))
    assert "CERTIFICATE_EXPIRED" in alert(secure, client_context(pki, expired))


def test_a_missing_or_foreign_client_certificate_is_refused(secure: Node, pki: Pki, tmp_path: Path) -> None:
    assert "CERTIFICATE_REQUIRED" in alert(secure, client_context(pki, None))
    foreign = Pki(trustme.CA(), tmp_path).client("foreign")
    assert "UNKNOWN_CA" in alert(secure, client_context(pki, foreign))


def test_hard_case_09_plain_text_at_the_tls_port_is_refused(
    secure: Node, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    assert not ask(secure.port).is_established
    assert over_tls(secure, client_context(pki, pki.client("scanner")))
    assert "no TLS handshake" in caplog.text


def test_a_silent_caller_of_the_tls_port_keeps_nobody_waiting(secure: Node, pki: Pki) -> None:
    silent = [socket.create_connection(("127.0.0.1", secure.port)) for _ in range(10)]
    assert over_tls(secure, client_context(pki, pki.client("scanner")))
    for connection in silent:
        connection.settimeout(30)
        assert connection.recv(1) == b"", "the node hangs up by itself"
        connection.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_is_negotiated_is_of_bcp_195(secure: Node, pki: Pki, version: ssl.TLSVersion) -> None:
    context = client_context(pki, pki.client("scanner"))
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", secure.port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        name, spoken, _ = connection.cipher() or ("", "", 0)
    assert "GCM" in name or "CHACHA20" in name
    assert spoken in {"TLSv1.2", "TLSv1.3"}


def test_dcmtk_sends_over_tls(secure: Node, pki: Pki, tmp_path: Path) -> None:
    write(tmp_path / "ct", [ct_slice(number) for number in range(3)])
    certificate, key = pki.client("dcmtk")
    tls = ["+tls", str(key), str(certificate), "+cf", str(pki.folder / "ca.pem")]
    command = [services.program("storescu"), *tls, "-aec", "SCLEROSCAN", "+sd", "127.0.0.1", str(secure.port)]
    said = subprocess.run([*command, str(tmp_path / "ct")], capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert len(secure.spool.waiting()) == 3


def test_a_rejected_sender_is_logged_by_ae_title_and_address(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    node = Node(tmp_path, Security(AccessControl("SCLEROSCAN", (SCANNER,))))
    with node.listener:
        ask(node.port, calling="STRANGER")
    (record,) = [record for record in caplog.records if record.message == "association rejected"]
    assert (vars(record)["calling_ae"], vars(record)["address"]) == ("STRANGER", "127.0.0.1")
    assert vars(record)["why"] == "calling AE STRANGER at 127.0.0.1 is no peer"


def test_an_accepted_sender_has_a_line_of_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    node = Node(tmp_path, Security(AccessControl("SCLEROSCAN", (SCANNER,))))
    with node.listener:
        ask(node.port, calling=SCANNER.ae_title)
    (record,) = [record for record in caplog.records if record.message == "association accepted"]
    assert (vars(record)["calling_ae"], vars(record)["address"]) == (SCANNER.ae_title, "127.0.0.1")
