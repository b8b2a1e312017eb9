"""Who takes which form of a SEG by C-STORE, and what becomes of more frames than a destination wants."""

from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.address import ApplicationEntity
from dicom_node.scp.archive import Archive
from tests.integration.worker.delivery.test_delivery import encoded_job
from tests.support import services
from tests.support.ct import TinyCT
from tests.support.results import source
from worker.delivery import dicom
from worker.delivery.archive import Archives
from worker.delivery_task import DeliveryTask
from worker.errors import PeerRefused
from worker.results import files, seg, segments
from worker.results.profile import Profile, SegForm
from worker.settings import WorkerSettings

PLAIN, DEFLATED = Profile(), Profile(deflated=True)
TAKEN, REFUSED = "0x0000", "no_presentation_context"
LABELS, DEFLATED_LABELS = Profile(SegForm.LABELMAP), Profile(SegForm.LABELMAP, deflated=True)


def written(folder: Path, profile: Profile) -> files.WrittenFile:
    part, ct = profile.parts[0], TinyCT()
    return files.write_object(folder, part.kind, seg.encode(source(ct), segments.of(part), *ct.masks()), part.role)


def answer(path: Path, peer: ApplicationEntity) -> str:
    """Send an object and return the status, or the code of the refusal."""
    try:
        (receipt,) = dicom.store([path], peer, "SCLEROSCAN")
    except PeerRefused as refused:
        return refused.code
    return f"0x{receipt.status:04X}"


@pytest.mark.parametrize(
    ("profile", "takes"), [(PLAIN, True), (DEFLATED, True), (LABELS, False), (DEFLATED_LABELS, False)]
)
def test_orthanc_takes_bits_by_c_store(
    orthanc: services.Orthanc, tmp_path: Path, profile: Profile, takes: bool
) -> None:
    peer = ApplicationEntity.parse_url(orthanc.destination)
    assert answer(written(tmp_path / "results", profile).path, peer) == (TAKEN if takes else REFUSED)


@pytest.mark.parametrize("profile", [PLAIN, DEFLATED, LABELS, DEFLATED_LABELS])
def test_orthanc_takes_every_form_by_stow(orthanc: services.Orthanc, tmp_path: Path, profile: Profile) -> None:
    one = written(tmp_path / "results", profile)
    assert Archives(WorkerSettings()).at(orthanc.dicom_web).store(one.path) == 0x0000
    (kept,) = orthanc.request("POST", "/tools/lookup", str(one.sop_uid).encode())
    assert orthanc.content("GET", f"/instances/{kept['ID']}/file") == one.path.read_bytes()
    orthanc.content("DELETE", f"/instances/{kept['ID']}")


@pytest.mark.parametrize(
    ("profile", "option", "takes"),
    [
        (PLAIN, "+x=", True),
        (DEFLATED, "+x=", False),
        (DEFLATED, "+xd", True),
        # Of a class that it does not know DCMTK takes nothing, unless it is told to promise all.
        (LABELS, "+x=", False),
        (LABELS, "-pm", True),
        (DEFLATED_LABELS, "+xd", False),
    ],
)
def test_dcmtk_takes_what_it_is_told_to(tmp_path: Path, profile: Profile, option: str, takes: bool) -> None:
    port = services.free_port()
    command = [services.program("storescp"), "-od", str(tmp_path), option, str(port)]
    with services.running(command, tmp_path / "storescp.log"):
        services.wait_until(lambda: services.port_answers(port), what="storescp")
        peer = ApplicationEntity("PACS", "127.0.0.1", port)
        assert answer(written(tmp_path / "results", profile).path, peer) == (TAKEN if takes else REFUSED)


def test_more_frames_than_wanted_are_a_dead_letter(
    sessions: sessionmaker[Session], archive: Archive, tmp_path: Path
) -> None:
    url = f"dicom://ARCHIVE@127.0.0.1:{archive.port}"
    objects = [written(tmp_path / "results", one) for one in (PLAIN, LABELS)]
    bits, labels = (int(dcmread(one.path).NumberOfFrames) for one in objects)
    job_id = encoded_job(sessions, objects, url)
    deliver(tmp_path, sessions, job_id, url, most=labels)
    with sessions.begin() as session:
        (row,) = audit.status(session)
        assert (row.state, row.code) == ("failed", "delivery_failed")
        assert [(one.state, one.code) for one in row.deliveries] == [("failed", "too_many_frames"), ("sent", None)]
        assert f"{bits} frames and max_frames is {labels}" in (row.deliveries[0].reason or "")
        assert tracking.verify_chain(session, row.series_uid) is None
    assert [path.stem for path in archive.instances()] == [objects[1].sop_uid]
    # The object is kept whole, and goes when the bound is raised.
    assert int(dcmread(objects[0].path).NumberOfFrames) == bits


def deliver(folder: Path, sessions: sessionmaker[Session], job_id: int, url: str, most: int) -> None:
    (folder / "site.toml").write_text(f'[[destination]]\nurl = "{url}"\nmax_frames = {most}\n')
    DeliveryTask(WorkerSettings(site_file=folder / "site.toml"), sessions, "delivery").run(job_id, url)


def test_as_many_frames_as_wanted_are_sent(sessions: sessionmaker[Session], archive: Archive, tmp_path: Path) -> None:
    url = f"dicom://ARCHIVE@127.0.0.1:{archive.port}"
    one = written(tmp_path / "results", PLAIN)
    deliver(tmp_path, sessions, encoded_job(sessions, [one], url), url, int(dcmread(one.path).NumberOfFrames))
    assert [path.stem for path in archive.instances()] == [one.sop_uid]
