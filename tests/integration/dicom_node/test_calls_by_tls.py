"""Peers written ``dicom+tls://`` are called by TLS with our certificate, and never in the clear."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from pydicom import Dataset
from pynetdicom import AE, evt

from db.address import ApplicationEntity
from db.errors import BadAddress
from db.tls_profile import TlsFiles
from dicom_node.errors import PeerAway
from dicom_node.retrieve.source import STUDY_ROOT_FIND, open_source
from dicom_node.scp.handlers import Receiver
from dicom_node.scp.listener import Address, Listener, Security
from dicom_node.scp.tls import server_context
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from tests.support.ct import TinyCT
from worker.delivery import dicom
from worker.errors import PeerRefused, PeerUnreachable


def issued(folder: Path, authority: trustme.CA) -> TlsFiles:
    """Issue a certificate of the authority for 127.0.0.1."""
    folder.mkdir()
    files = TlsFiles(*(folder / f"{name}.pem" for name in ("certificate", "key", "authority")))
    own = authority.issue_cert("127.0.0.1")
    own.cert_chain_pems[0].write_to_path(files.certificate)
    own.private_key_pem.write_to_path(files.key)
    authority.cert_pem.write_to_path(files.authority)
    return files


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return issued(tmp_path / "own", trustme.CA())


@pytest.fixture
def node(tmp_path: Path, files: TlsFiles) -> Iterator[tuple[Spool, int]]:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    security = Security(tls=server_context(files.certificate, files.key, files.authority))
    address = Address("SCLEROSCAN", "127.0.0.1", 0, request_timeout_s=5)
    with Listener(address, Receiver(spool).handlers(), CT_CLASSES, security) as listener:
        yield spool, listener.port


def test_a_secure_destination_is_sent_to_by_tls(tmp_path: Path, node: tuple[Spool, int], files: TlsFiles) -> None:
    spool, port = node
    peer = ApplicationEntity.parse_url(f"dicom+tls://SCLEROSCAN@127.0.0.1:{port}").called_with(files)
    dicom.echo(peer, "SCANNER")
    assert len(dicom.store(TinyCT(slices=2).write(tmp_path / "ct"), peer, "SCANNER")) == 2
    assert len(spool.waiting()) == 2


def test_a_secure_destination_is_never_called_in_the_clear(node: tuple[Spool, int], files: TlsFiles) -> None:
    peer = ApplicationEntity.parse_url(f"dicom+tls://SCLEROSCAN@127.0.0.1:{node[1]}")
    with pytest.raises(BadAddress, match="certificate of ours"):
        peer.called_with(None)
    with pytest.raises(PeerRefused):
        dicom.echo(peer, "SCANNER")
    plain = ApplicationEntity.parse_url("dicom://SCLEROSCAN@127.0.0.1:104").called_with(files)
    assert plain.tls is None


def test_a_destination_with_a_foreign_certificate_gets_nothing(tmp_path: Path, node: tuple[Spool, int]) -> None:
    spool, port = node
    strange = issued(tmp_path / "strange", trustme.CA())
    peer = ApplicationEntity.parse_url(f"dicom+tls://SCLEROSCAN@127.0.0.1:{port}").called_with(strange)
    with pytest.raises(PeerUnreachable):
        dicom.store(TinyCT(slices=1).write(tmp_path / "ct"), peer, "SCANNER")
    assert spool.waiting() == []


def test_a_secure_source_is_asked_by_tls(tmp_path: Path, files: TlsFiles) -> None:
    def found(_event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        match = Dataset()
        match.NumberOfSeriesRelatedInstances = 7
        yield 0xFF00, match

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.authority))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(files.certificate, files.key)
    entity = AE("PACS")
    entity.add_supported_context(STUDY_ROOT_FIND)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=[(evt.EVT_C_FIND, found)]
    )
    try:
        url = f"dicom+tls://PACS@127.0.0.1:{server.server_address[1]}"
        assert open_source(url, "SCLEROSCAN", tls=files).number_of_instances("1.2", "1.2.3") == 7
        strange = issued(tmp_path / "strange", trustme.CA())
        with pytest.raises(PeerAway):
            open_source(url, "SCLEROSCAN", tls=strange).number_of_instances("1.2", "1.2.3")
    finally:
        server.shutdown()
