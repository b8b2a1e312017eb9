"""Callers of old TLS and of weak ciphers: refused by the listener and by STOW-RS, whatever certificate they have."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from db.tls_profile import CIPHERS_OF_TLS_1_2, TlsFiles
from dicom_node.scp.handlers import Receiver
from dicom_node.scp.listener import Address, Listener, Security
from dicom_node.scp.tls import server_context
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from tests.integration.dicom_node.stow.test_stow import serving
from tests.integration.dicom_node.test_calls_by_tls import issued
from tests.support.old_tls import OLD_TLS, TLS_1_2, spoken


@contextmanager
def listening(folder: Path, files: TlsFiles) -> Iterator[int]:
    """A listener with TLS; its port."""
    spool = Spool(folder / "spool")
    spool.prepare()
    security = Security(tls=server_context(files.certificate, files.key, files.authority))
    with Listener(Address("SCLEROSCAN", "127.0.0.1", 0), Receiver(spool).handlers(), CT_CLASSES, security) as listener:
        yield listener.port


@contextmanager
def on_the_web(folder: Path, files: TlsFiles) -> Iterator[int]:
    """STOW-RS with client certificates; its port."""
    tls = {"tls_cert": files.certificate, "tls_key": files.key, "tls_client_ca": files.authority}
    with serving(folder / "spool", web_token=None, **tls) as url:
        yield int(url.split("/", maxsplit=1)[0].rpartition(":")[2])


@pytest.mark.parametrize("door", [listening, on_the_web])
def test_old_tls_and_weak_ciphers_are_refused(tmp_path: Path, door: type) -> None:
    files = issued(tmp_path / "own", trustme.CA())
    with door(tmp_path, files) as port:
        assert {name: spoken(port, files, *old) for name, old in OLD_TLS.items()} == dict.fromkeys(OLD_TLS)
        assert spoken(port, files, TLS_1_2, CIPHERS_OF_TLS_1_2) == "TLSv1.2"
