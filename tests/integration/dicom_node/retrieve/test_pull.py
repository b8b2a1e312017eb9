"""Fetching from archives that are real: Orthanc by WADO-RS and C-GET, DCMTK's archive by C-MOVE."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from dicomweb_client.api import DICOMwebClient
from pydantic import SecretStr
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import CliRunner

from compose import command_line
from dicom_node.errors import BadSetting, PeerAway, PullIncomplete, UnreadableInstance
from dicom_node.retrieve import pull
from dicom_node.retrieve.request import RetrieveRequest
from dicom_node.settings import NodeSettings
from dicom_node.spool.broken_off import BrokenOff
from tests.support import node_service, services
from tests.support.ct_files import write_one
from tests.support.hostile import with_values
from tests.support.node_senders import ROOT, ct_slice, encoded, header, series_uid, write

STUDY = f"{ROOT}.77"


def of_study(count: int, series: int, study: str = STUDY) -> list[Dataset]:
    images = [ct_slice(number, series) for number in range(count)]
    for ds in images:
        ds.StudyInstanceUID = study
    return images


@pytest.fixture(scope="module")
def filled(orthanc: services.Orthanc, tmp_path_factory: pytest.TempPathFactory) -> services.Orthanc:
    """An Orthanc with a study of two CT series and a report."""
    folder = tmp_path_factory.mktemp("study")
    report = Dataset()
    report.SOPClassUID, report.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.22", f"{STUDY}.3.1"
    report.StudyInstanceUID, report.SeriesInstanceUID, report.Modality = STUDY, f"{STUDY}.3", "SR"
    report.PatientID, report.PatientName, report.ValueType = "CANARY-ID", "CANARY^PATIENT", "CONTAINER"
    paths = write(folder / "ct", [*of_study(5, 701), *of_study(3, 702)])
    (folder / "sr.dcm").write_bytes(header(report.SOPInstanceUID, report.SOPClassUID) + encoded(report))
    for path in (*paths, folder / "sr.dcm"):
        orthanc.request("POST", "/instances", path.read_bytes())
    return orthanc


def settings(folder: Path, **options: Any) -> NodeSettings:
    return NodeSettings(spool_dir=folder / "spool", min_free_mb=0, **options)


def spooled(folder: Path) -> dict[str, Path]:
    return {path.name.partition("-")[0]: path for path in (folder / "spool" / "new").iterdir()}


def address(archive: services.Orthanc, how: str) -> str:
    return archive.dicom_web if how == "WADO-RS" else archive.destination


@pytest.mark.parametrize("how", ["WADO-RS", "C-GET"])
def test_a_study_comes_from_orthanc_byte_for_byte(tmp_path: Path, filled: services.Orthanc, how: str) -> None:
    pulled = pull.run(settings(tmp_path), RetrieveRequest(STUDY), address(filled, how))
    assert (pulled.images, pulled.way) == (8, how)
    originals = {str(ds.SOPInstanceUID): ds for ds in [*of_study(5, 701), *of_study(3, 702)]}
    kept = spooled(tmp_path)
    assert set(kept) == set(originals)
    for uid, path in kept.items():
        assert path.read_bytes().endswith(encoded(originals[uid])), "the data set as the archive has it"


@pytest.mark.parametrize("how", ["WADO-RS", "C-GET"])
def test_one_series_comes_alone_and_says_where_from(tmp_path: Path, filled: services.Orthanc, how: str) -> None:
    pulled = pull.run(settings(tmp_path), RetrieveRequest(STUDY, series_uid(702)), address(filled, how))
    assert pulled.images == len(spooled(tmp_path)) == 3
    meta = dcmread(next(iter(spooled(tmp_path).values())), stop_before_pixels=True).file_meta
    sender = "WADO-RS" if how == "WADO-RS" else "ORTHANC"
    assert (meta.SendingApplicationEntityTitle, meta.ReceivingApplicationEntityTitle) == (sender, "SCLEROSCAN")


@pytest.mark.parametrize("how", ["WADO-RS", "C-GET"])
def test_a_pull_mends_a_series_that_was_broken_off(tmp_path: Path, filled: services.Orthanc, how: str) -> None:
    broken_off = BrokenOff(tmp_path / "spool" / "associations")
    for series in (701, 702, 703):
        broken_off.note(series_uid(series))
    pull.run(settings(tmp_path), RetrieveRequest(STUDY), address(filled, how))
    assert [broken_off.token(series_uid(series)) is None for series in (701, 702, 703)] == [True, True, False]


def test_a_compressed_image_stays_compressed(tmp_path: Path, orthanc: services.Orthanc) -> None:
    (ds,) = of_study(1, 703, f"{ROOT}.78")
    write_one(tmp_path / "rle.dcm", ds, RLELossless)
    orthanc.request("POST", "/instances", (tmp_path / "rle.dcm").read_bytes())
    for how in ("WADO-RS", "C-GET"):
        pull.run(settings(tmp_path / how), RetrieveRequest(f"{ROOT}.78"), address(orthanc, how))
        (path,) = spooled(tmp_path / how).values()
        assert dcmread(path).file_meta.TransferSyntaxUID == RLELossless


def test_what_an_independent_client_retrieves_is_what_was_pulled(tmp_path: Path, filled: services.Orthanc) -> None:
    theirs = DICOMwebClient(filled.dicom_web).retrieve_series(STUDY, series_uid(701))
    pull.run(settings(tmp_path), RetrieveRequest(STUDY, series_uid(701)), filled.dicom_web)
    ours = {uid: dcmread(path) for uid, path in spooled(tmp_path).items()}
    assert {str(ds.SOPInstanceUID): ds.PixelData for ds in theirs} == {uid: ds.PixelData for uid, ds in ours.items()}


@contextmanager
def dcmtk_archive(folder: Path, node_port: int) -> Iterator[int]:
    """DCMTK's archive without C-GET; it knows our node as the destination of C-MOVE."""
    port = services.free_port()
    (folder / "images").mkdir(parents=True)
    (folder / "archive.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nnode = (SCLEROSCAN, 127.0.0.1, {node_port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {folder / 'images'} RW (100, 1024mb) ANY\nAETable END\n"
    )
    command = [services.program("dcmqrscp"), "--disable-get", "-c", str(folder / "archive.cfg")]
    with services.running(command, folder / "archive.log", env=os.environ | {"TCP_NODELAY": "1"}):
        services.wait_until(lambda: services.port_answers(port), 30, "DCMTK's archive")
        yield port


def test_without_c_get_images_come_by_c_move_to_the_listener(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    write(tmp_path / "ct", of_study(6, 704))
    with (
        node_service.running(tmp_path, sessions) as node,
        dcmtk_archive(tmp_path / "archive", node.port) as port,
    ):
        store = [services.program("storescu"), "-aec", "ARCHIVE", "+sd", "127.0.0.1", str(port), str(tmp_path / "ct")]
        subprocess.run(store, check=True, capture_output=True, timeout=60)
        source = f"dicom://ARCHIVE@127.0.0.1:{port}"
        pulled = pull.run(settings(tmp_path), RetrieveRequest(STUDY, series_uid(704)), source)
        assert (pulled.images, pulled.way) == (6, "C-MOVE")
        row = node.wait_until_closed(series_uid(704))
        assert (row.state, row.detail["instances"]) == ("complete", 6)


def test_a_broken_series_becomes_whole_by_a_pull(
    tmp_path: Path, sessions: sessionmaker[Session], orthanc: services.Orthanc
) -> None:
    """The scanner sent five of eight; the archive has all: the row says so, the pull mends it."""
    images = of_study(8, 705, f"{ROOT}.79")
    for path in write(tmp_path / "all", images):
        orthanc.request("POST", "/instances", path.read_bytes())
    write(tmp_path / "some", images[:5])
    with node_service.running(tmp_path, sessions, quiet_s=0.5, gap_wait_s=2.0, source=orthanc.destination) as node:
        sent = [services.program("storescu"), "-aec", "SCLEROSCAN", "+sd", "127.0.0.1", str(node.port)]
        subprocess.run([*sent, str(tmp_path / "some")], check=True, capture_output=True, timeout=60)
        row = node.wait_until_closed(series_uid(705))
        assert (row.state, row.code) == ("incomplete", "fewer_than_expected")
        assert pull.run(settings(tmp_path), RetrieveRequest(f"{ROOT}.79"), orthanc.dicom_web).images == 8
        row = node.wait_until_closed(series_uid(705), after=row.last_arrival_at)
        assert (row.state, row.code, row.detail["instances"]) == ("complete", "expected_number", 8)
        assert node.jobs(series_uid(705)) == ["queued"]


def test_an_image_the_spool_refuses_makes_the_pull_incomplete(tmp_path: Path, filled: services.Orthanc) -> None:
    with pytest.raises(PullIncomplete, match="pull again"):
        pull.run(
            NodeSettings(spool_dir=tmp_path / "spool", min_free_mb=10**9), RetrieveRequest(STUDY), filled.destination
        )
    assert spooled(tmp_path) == {}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("how", ["WADO-RS", "C-GET"])
def test_an_image_that_is_none_keeps_no_other_from_coming(tmp_path: Path, orthanc: services.Orthanc, how: str) -> None:
    study = f"{ROOT}.80"
    sound, odd = of_study(4, 706, study), of_study(1, 707, study)[0]
    raw = with_values(odd, {"SeriesInstanceUID": f"{series_uid(706)}.01".encode()})
    for content in (header(odd.SOPInstanceUID) + raw, *(header(ds.SOPInstanceUID) + encoded(ds) for ds in sound)):
        orthanc.request("POST", "/instances", content)
    with pytest.raises(PullIncomplete, match="1 images were refused"):
        pull.run(settings(tmp_path), RetrieveRequest(study), address(orthanc, how))
    assert set(spooled(tmp_path)) == {str(ds.SOPInstanceUID) for ds in sound}


@pytest.mark.parametrize("url", ["dicom://PACS@127.0.0.1:{}", "http://127.0.0.1:{}/dicom-web"])
def test_an_archive_that_is_away_says_so(tmp_path: Path, url: str) -> None:
    with pytest.raises(PeerAway):
        pull.run(settings(tmp_path), RetrieveRequest("1.2.3"), url.format(services.free_port()))


def test_a_study_that_the_archive_does_not_know_is_no_success(tmp_path: Path, orthanc: services.Orthanc) -> None:
    for how in ("WADO-RS", "C-GET"):
        with pytest.raises((PeerAway, PullIncomplete)):
            pull.run(settings(tmp_path), RetrieveRequest("1.2.3.404"), address(orthanc, how))


def test_what_is_no_uid_or_no_address_is_asked_of_nobody(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInstance):
        pull.run(settings(tmp_path), RetrieveRequest("../../outside"), "http://127.0.0.1:1/dicom-web")
    for source in (None, "ftp://pacs"):
        with pytest.raises(BadSetting):
            pull.run(settings(tmp_path), RetrieveRequest("1.2.3"), source)


def test_the_command_pulls_and_tells_how(
    tmp_path: Path, filled: services.Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOM_NODE_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.setenv("DICOM_NODE_MIN_FREE_MB", "0")
    monkeypatch.setenv("DICOM_NODE_SOURCE", filled.dicom_web)
    done = CliRunner().invoke(command_line.app, ["pull", STUDY])
    assert done.exit_code == 0, done.output
    assert "8 images by WADO-RS; 1 other objects left out" in done.stdout


class TokenTaker(BaseHTTPRequestHandler):
    """Answers that there is nothing, and keeps what tokens it was shown."""

    shown: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        """Answer 204."""
        self.shown.append(self.headers.get("Authorization"))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("asked", "shown"), [("/dicom-web", "Bearer s3cret"), (None, None)], ids=["source", "another"])
def test_the_sources_token_is_shown_to_the_source_alone(tmp_path: Path, asked: str | None, shown: str | None) -> None:
    with HTTPServer(("127.0.0.1", 0), TokenTaker) as server:
        threading.Thread(target=server.serve_forever).start()
        origin = f"http://127.0.0.1:{server.server_port}"
        source = f"{origin}/other" if asked else "https://archive.example/dicom-web"
        settings = NodeSettings(spool_dir=tmp_path, min_free_mb=0, source=source, source_token=SecretStr("s3cret"))
        TokenTaker.shown.clear()
        with pytest.raises(PeerAway):
            pull.run(settings, RetrieveRequest(STUDY), f"{origin}{asked or '/dicom-web'}")
        server.shutdown()
    assert set(TokenTaker.shown) == {shown}
