"""The statement on TLS and STOW-RS beside what the listener negotiates and the service answers."""

import inspect
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from db.tls_profile import TlsFiles
from dicom_node.stow import bearer, outcome, server
from tests.support import statement
from tests.support.listening import listener
from tests.support.old_tls import spoken

KEYS = {"ECDSA": trustme.KeyType.ECDSA, "RSA": trustme.KeyType.RSA}
EVERY_SUITE = "ALL:@SECLEVEL=0"
# Those by shared secrets, which this caller has none of, cannot even be offered.
OFFERED = "ALL:!PSK:!SRP:@SECLEVEL=0"


def suites() -> list[str]:
    """Every cipher suite before TLS 1.3 that this machine's OpenSSL can offer by certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers(OFFERED)
    return [suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"]


@pytest.fixture(scope="module", params=KEYS)
def secure(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, TlsFiles]]:
    """A listener with TLS and a key of one kind, and files that a caller may use."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1", key_type=KEYS[request.param])
    files = TlsFiles(*(folder / f"{name}.pem" for name in ("certificate", "key", "authority")))
    own.cert_chain_pems[0].write_to_path(files.certificate)
    own.private_key_pem.write_to_path(files.key)
    authority.cert_pem.write_to_path(files.authority)
    tls = {"tls_cert": files.certificate, "tls_key": files.key, "tls_client_ca": files.authority}
    with listener(folder / "node", **tls) as port:
        yield port, files


def test_the_listener_takes_the_listed_suites_alone(
    secure: tuple[int, TlsFiles], request: pytest.FixtureRequest
) -> None:
    assert len(suites()) > 40
    every = {one for one in suites() if spoken(*secure, ssl.TLSVersion.TLSv1_2, f"{one}:@SECLEVEL=0")}
    other = {"ECDSA": "-RSA-", "RSA": "-ECDSA-"}[request.node.callspec.params["secure"]]
    assert every == {suite for suite in statement.codes(statement.table("6"), "cipher suite") if other not in suite}


def test_the_listener_speaks_the_listed_protocols_alone(secure: tuple[int, TlsFiles]) -> None:
    with_old = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    text = re.sub(r"\s+", " ", statement.PAGE.read_text(encoding="utf-8"))
    (said,) = re.findall(r"Protocols (.*?)\.\s", text.replace("TLSv1.", "TLSv1_"))
    protocols = {spoken(*secure, version, EVERY_SUITE) for version in with_old}
    assert protocols - {None} == {name.replace("_", ".") for name in statement.CODE.findall(said)}


def test_every_status_of_stow_is_listed_and_no_other() -> None:
    raised = re.findall(r"HTTPException\((\d{3})", inspect.getsource(server) + inspect.getsource(bearer))
    answered = re.findall(r"(?:return |else )(\d{3})\b", inspect.getsource(outcome.Outcome))
    answered += re.findall(r"return \d{3} if .* else (\d{3})", inspect.getsource(outcome.Outcome))
    assert len(answered) >= 3
    assert set(raised) | set(answered) == set(statement.codes(statement.table("3.10"), "status"))


def test_the_statement_is_of_this_version() -> None:
    version = re.search(r'^version = "(.+)"', (Path(statement.PAGE).parents[2] / "pyproject.toml").read_text(), re.M)
    assert version is not None
    assert f"for Scleroscan {version[1]}." in statement.PAGE.read_text(encoding="utf-8")
