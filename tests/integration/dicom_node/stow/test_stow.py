"""STOW-RS on a real server: dicomweb-client and raw requests store, the spool and the rows are what is looked at."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
from dicomweb_client.api import DICOMwebClient
from pydantic import SecretStr
from pydicom import Dataset, dcmread
from pydicom.uid import MRImageStorage
from requests import HTTPError, Session
from sqlalchemy.orm import Session as DbSession
from sqlalchemy.orm import sessionmaker

from dicom_node.errors import BadSetting
from dicom_node.multipart import Malformed, PartReader, TooLarge, boundary
from dicom_node.settings import NodeSettings
from dicom_node.spool.broken_off import BrokenOff
from dicom_node.stow import server
from tests.support import node_service, services
from tests.support.hostile import nested
from tests.support.node_senders import PATIENT, ROOT, ct_slice, encoded, header, series_uid, write

TOKEN = "a-token-of-some-length"  # noqa: S105  of these tests alone
KEPT, FAILED, OTHERS = "00081199", "00081198", "0008119A"


@contextmanager
def serving(spool: Path, **options: Any) -> Iterator[str]:
    """Serve STOW-RS for the length of the block; yield its base URL without the scheme."""
    port = services.free_port()
    fields = {"web_token": TOKEN, "min_free_mb": 0} | options
    settings = NodeSettings(host="127.0.0.1", web_port=port, spool_dir=spool, **fields)
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(settings, stop))
    thread.start()
    try:
        services.wait_until(lambda: services.port_answers(port) or not thread.is_alive(), 30, "the web server")
        yield f"127.0.0.1:{port}/dicom-web"
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def client(url: str) -> DICOMwebClient:
    session = Session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    return DICOMwebClient(f"http://{url}", session=session)


def part10(ds: Dataset) -> bytes:
    return header(ds.SOPInstanceUID, ds.SOPClassUID) + encoded(ds)


def post(url: str, parts: list[bytes], **changes: str) -> httpx2.Response:
    """Send a multipart body as it is."""
    body = b"".join(b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts)
    headers = {
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=xyz',
        "Authorization": f"Bearer {TOKEN}",
    }
    return httpx2.post(
        f"http://{url}/studies{changes.pop('study', '')}",
        content=body + changes.pop("end", "--xyz--\r\n").encode(),
        headers=headers | changes,
        timeout=60,
    )


def spooled(folder: Path) -> list[Path]:
    return sorted((folder / "new").iterdir())


def test_dicomweb_client_stores_a_series_that_becomes_a_job(tmp_path: Path, sessions: sessionmaker[DbSession]) -> None:
    images = [dcmread(path) for path in write(tmp_path / "ct", [ct_slice(number) for number in range(6)])]
    with node_service.running(tmp_path, sessions) as node, serving(node.spool) as url:
        answer = client(url).store_instances(images)
        assert len(answer.ReferencedSOPSequence) == 6
        row = node.wait_until_closed(series_uid())
        assert (row.state, row.detail["instances"]) == ("complete", 6)
        assert node.trail(series_uid())[0]["detail"] == {"calling_ae": "STOW-RS"}


def test_stow_keeps_the_data_set_byte_for_byte_with_its_sender(tmp_path: Path) -> None:
    ds = ct_slice(0)
    with serving(tmp_path) as url:
        answer = post(url, [part10(ds)], study=f"/{ROOT}.1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json")
    assert answer.json()[KEPT]["Value"][0]["00081155"]["Value"] == [ds.SOPInstanceUID]
    (path,) = spooled(tmp_path)
    assert path.read_bytes().endswith(encoded(ds))
    meta = dcmread(path, stop_before_pixels=True).file_meta
    assert (meta.SendingApplicationEntityTitle, meta.ReceivingApplicationEntityTitle) == ("STOW-RS", "SCLEROSCAN")


def test_a_request_kept_whole_mends_a_series_broken_off(tmp_path: Path) -> None:
    broken_off = BrokenOff(tmp_path / "associations")
    with serving(tmp_path) as url:
        broken_off.note(series_uid())
        assert post(url, [part10(ct_slice(0)), b"no dicom at all"]).status_code == 202
        assert broken_off.token(series_uid()) is not None
        assert post(url, [part10(ct_slice(0))]).status_code == 200
        assert broken_off.token(series_uid()) is None


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_what_cannot_be_kept_is_listed_and_the_rest_is_kept(tmp_path: Path) -> None:
    mr, bent = ct_slice(1), ct_slice(2)
    mr.SOPClassUID = MRImageStorage
    outside = part10(bent).replace(series_uid().encode(), b"../../outside".ljust(len(series_uid()), b"."))
    with serving(tmp_path) as url:
        answer = post(url, [part10(ct_slice(0)), part10(mr), outside, b"no dicom at all"])
        assert answer.status_code == 202
        assert [item["00081155"]["Value"][0] for item in answer.json()[KEPT]["Value"]] == [ct_slice(0).SOPInstanceUID]
        reasons = [item["00081197"]["Value"][0] for item in answer.json()[OTHERS]["Value"]]
        assert reasons == [0xA900, 0xC000, 0xC000]
        assert post(url, [part10(mr)]).status_code == 409
    assert len(spooled(tmp_path)) == 1
    counts = {path: path.stat().st_size for path in tmp_path.rglob("refusals/*")}
    assert {path.name: count for path, count in counts.items()} == {
        "uid_malformed": 1, "no_part10": 1, "wrong_sop_class": 2,
    }  # fmt: skip
    others = {path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".dcm"} - set(counts)
    assert [path.name for path in others] == ["epoch"]


def test_a_nest_of_sequences_is_refused_and_the_rest_is_kept(tmp_path: Path) -> None:
    hostile = header(ct_slice(0).SOPInstanceUID) + nested(ct_slice(0))
    with serving(tmp_path) as url:
        answer = post(url, [hostile, part10(ct_slice(1))])
    assert answer.status_code == 202
    assert [item["00081197"]["Value"][0] for item in answer.json()[OTHERS]["Value"]] == [0xC000]
    assert len(spooled(tmp_path)) == 1


def test_an_image_outside_the_study_of_the_request_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        answer = post(url, [part10(ct_slice(0))], study="/1.2.3")
    assert answer.status_code == 409
    assert answer.json()[FAILED]["Value"][0]["00081155"]["Value"] == [ct_slice(0).SOPInstanceUID]
    assert spooled(tmp_path) == []


@pytest.mark.parametrize("shown", ["", "Bearer wrong", TOKEN, TOKEN.upper(), "Basic eDp5"])
def test_without_the_token_nothing_is_taken(tmp_path: Path, shown: str) -> None:
    with serving(tmp_path) as url:
        answer = post(url, [part10(ct_slice(0))], Authorization=shown)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        with pytest.raises(HTTPError, match="401"):
            DICOMwebClient(f"http://{url}").store_instances([dcmread(write(tmp_path / "ct", [ct_slice(0)])[0])])
    assert spooled(tmp_path) == []


def test_other_bodies_are_refused_with_their_status(tmp_path: Path) -> None:
    with serving(tmp_path, max_instance_mb=1) as url:
        assert post(url, [part10(ct_slice(0))], **{"Content-Type": "application/dicom"}).status_code == 415
        json_parts = 'multipart/related; type="application/dicom+json"; boundary=xyz'
        assert post(url, [b"[]"], **{"Content-Type": json_parts}).status_code == 415
        assert post(url, []).status_code == 400
        assert post(url, [part10(ct_slice(0))], end="").status_code == 400
        assert post(url, [part10(ct_slice(0, side=1024))]).status_code == 413
        assert httpx2.get(f"http://{url}/studies").status_code == 405
        long = 'multipart/related; type="application/dicom"; boundary=' + "x" * 4000
        assert post(url, [part10(ct_slice(0))], **{"Content-Type": long}).status_code == 400
        assert post(url, [header(ct_slice(0).SOPInstanceUID) + nested(ct_slice(0))]).status_code == 409


def test_a_full_spool_is_busy_and_says_when_to_come_again(tmp_path: Path) -> None:
    with serving(tmp_path, min_free_mb=10**9) as url:
        answer = post(url, [part10(ct_slice(0))])
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert answer.json()[FAILED]["Value"][0]["00081197"]["Value"] == [0xA700]


def test_a_body_that_stops_coming_is_given_up(tmp_path: Path) -> None:
    def slowly() -> Iterator[bytes]:
        yield b"--xyz\r\nContent-Type: application/dicom\r\n\r\n"
        threading.Event().wait(5)
        yield b"late"

    headers = {"Content-Type": "multipart/related; boundary=xyz", "Authorization": f"Bearer {TOKEN}"}
    with serving(tmp_path, network_timeout_s=0.5) as url:
        answer = httpx2.post(f"http://{url}/studies", content=slowly(), headers=headers, timeout=60)
    assert answer.status_code == 408


def test_nothing_of_a_patient_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with serving(tmp_path) as url:
        post(url, [part10(ct_slice(0)), part10(ct_slice(1))[:200]])
    assert "image refused" in caplog.text
    assert PATIENT.split("^", maxsplit=1)[0] not in caplog.text + repr([vars(record) for record in caplog.records])


def test_stow_without_token_or_client_certificate_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="DICOM_NODE_WEB_TOKEN"):
        server.run(NodeSettings(web_port=services.free_port(), spool_dir=tmp_path), threading.Event())


@pytest.mark.parametrize("given", [("tls_client_ca",), ("tls_cert", "tls_key"), ("tls_client_ca", "tls_cert")])
def test_stow_with_half_of_its_tls_does_not_start(tmp_path: Path, given: tuple[str, ...]) -> None:
    half = {name: tmp_path / "a.pem" for name in given}
    settings = NodeSettings(web_port=services.free_port(), spool_dir=tmp_path, web_token=SecretStr(TOKEN), **half)
    with pytest.raises(BadSetting, match="all three"):
        server.run(settings, threading.Event())


def test_with_client_certificates_only_who_has_one_stores(tmp_path: Path) -> None:
    authority = trustme.CA()
    own, scanner = authority.issue_cert("127.0.0.1"), authority.issue_cert("scanner.test")
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "own", "own_key", "client")}
    authority.cert_pem.write_to_path(files["ca"])
    own.cert_chain_pems[0].write_to_path(files["own"])
    own.private_key_pem.write_to_path(files["own_key"])
    scanner.private_key_and_cert_chain_pem.write_to_path(files["client"])
    tls = {"tls_cert": files["own"], "tls_key": files["own_key"], "tls_client_ca": files["ca"]}
    stranger, known = ssl.create_default_context(cafile=files["ca"]), ssl.create_default_context(cafile=files["ca"])
    known.load_cert_chain(files["client"])
    headers = {"Content-Type": "multipart/related; boundary=xyz"}
    body = b"--xyz\r\n\r\n" + part10(ct_slice(0)) + b"\r\n--xyz--"
    with serving(tmp_path / "spool", web_token=None, **tls) as url:
        with pytest.raises(httpx2.TransportError):
            httpx2.post(f"https://{url}/studies", content=body, headers=headers, verify=stranger)
        assert httpx2.post(f"https://{url}/studies", content=body, headers=headers, verify=known).status_code == 200
    assert len(spooled(tmp_path / "spool")) == 1


class Body(bytearray):
    """A body that is kept in a list once it is whole."""

    def __init__(self, whole: list["Body"]) -> None:
        super().__init__()
        self._whole = whole

    def finish(self) -> None:
        """Keep it."""
        self._whole.append(self)

    def discard(self) -> None:
        """Do nothing."""


def test_parts_are_the_same_however_the_body_is_cut() -> None:
    body = b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n1\r\n--2\r\n--b\r\n\r\n\r\n\r\n--b--"
    for size in (1, 2, 3, 7, len(body)):
        bodies: list[Body] = []
        reader = PartReader(b"b", 100, lambda bodies=bodies: Body(bodies))  # type: ignore[misc]  # bound in the loop
        for start in range(0, len(body), size):
            reader.feed(body[start : start + size])
        reader.close()
        assert [bytes(one) for one in bodies] == [b"1\r\n--2", b"\r\n"]


def test_a_damaged_or_endless_body_is_told_apart() -> None:
    with pytest.raises(Malformed):
        PartReader(b"b", 100, lambda: Body([])).feed(b"nothing of the kind")
    with pytest.raises(TooLarge):
        PartReader(b"b", 3, lambda: Body([])).feed(b"--b\r\n\r\n1234")
    with pytest.raises(Malformed):
        PartReader(b"b", 3, lambda: Body([])).close()
    for kind in ("", "text/html", "multipart/related", "multipart/form-data; boundary=b"):
        with pytest.raises(Malformed):
            boundary(kind)
