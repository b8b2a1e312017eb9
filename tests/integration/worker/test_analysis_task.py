"""Jobs from claim to their end, by the packaged model, on real rows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    EncapsulatedPDFStorage,
    JPEG2000Lossless,
    KeyObjectSelectionDocumentStorage,
    SegmentationStorage,
)
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.finding_tables import Measurement
from db.tables import Delivery, Instance, Job, Output
from db.tracking import JobIdentity, LeaseTerms
from dicom_node.scheduler.registrar import Registrar
from dicom_node.spool.folder import Spool
from dicom_node.spool.part10 import Way, image_of_file, keep
from tests.support.bombs import hoard, many_components, with_frame
from tests.support.ct import TinyCT
from worker import identity
from worker.analysis_task import AnalysisTask
from worker.app import Site
from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series
from worker.reading.pixels import decoders
from worker.settings import WorkerSettings

OF_THE_NODE = JobIdentity("n" * 64, "s" * 64)
PACS = "dicom://PACS@127.0.0.1:104"
CHEST = PhantomSpec(seed=7, shape=(60, 128, 128), spacing_mm=(4.5, 2.9, 2.9), extent_pct=20.0)


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    return WorkerSettings(device="cpu", results_dir=tmp_path / "results")


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of a chest that is measured."""
    return write_series(render(CHEST), tmp_path_factory.mktemp("chest"), PhantomIdentity())


@pytest.fixture
def series_uid(tmp_path: Path, sessions: sessionmaker[Session]) -> str:
    """A registered series of slices that show no chest, which ends before the network would run."""
    return registered(tmp_path / "spool", sessions, TinyCT().write(tmp_path / "ct"))


def registered(folder: Path, sessions: sessionmaker[Session], paths: Sequence[Path]) -> str:
    """Spool and register the files of a series that is complete, and return its UID."""
    spool = Spool(folder)
    spool.prepare()
    for path in paths:
        keep(spool, image_of_file(path.read_bytes()), Way("SCANNER", "SCLEROSCAN"))
    now = datetime.now(UTC)
    Registrar(spool, sessions).run(now)
    uid = str(dcmread(paths[0]).SeriesInstanceUID)
    with sessions.begin() as session:
        tracking.close_series(session, uid, "complete", "quiet", {}, now)
    return uid


def opened(sessions: sessionmaker[Session], series_uid: str, of: JobIdentity) -> int:
    with sessions.begin() as session:
        return tracking.open_job(session, series_uid, of, datetime.now(UTC) - timedelta(seconds=1))


def outcomes(sessions: sessionmaker[Session]) -> list[tuple[str, str | None, str]]:
    """State, code and model of every job, oldest first."""
    with sessions.begin() as session:
        jobs = session.scalars(select(Job).order_by(Job.id))
        return [(str(job.state), job.code, job.model_digest) for job in jobs]


def test_a_worker_computes_under_its_own_identity(
    sessions: sessionmaker[Session], series_uid: str, settings: WorkerSettings
) -> None:
    AnalysisTask(settings, sessions, "worker").run(opened(sessions, series_uid, OF_THE_NODE))
    ours = identity.current(settings).model_digest
    assert outcomes(sessions) == [("superseded", None, "n" * 64), ("rejected", "not_chest", ours)]


def test_a_worker_that_the_node_foresaw_computes_its_job(
    sessions: sessionmaker[Session], series_uid: str, settings: WorkerSettings
) -> None:
    ours = identity.current(settings)
    AnalysisTask(settings, sessions, "worker").run(opened(sessions, series_uid, ours))
    assert outcomes(sessions) == [("rejected", "not_chest", ours.model_digest)]


def test_results_lie_at_a_path_that_holds_wherever_it_is_read(
    sessions: sessionmaker[Session], series_uid: str, settings: WorkerSettings
) -> None:
    relative = settings.model_copy(update={"results_dir": Path("results")})
    job_id = opened(sessions, series_uid, OF_THE_NODE)
    with sessions.begin() as session:
        held = tracking.claim(session, job_id, "worker", LeaseTerms(60, 3), datetime.now(UTC))
    assert held is not None
    task = AnalysisTask(relative, sessions, "worker").task(held)
    assert task.folder == Path.cwd() / "results" / held.key


def test_an_image_that_is_not_the_one_that_came_is_not_measured(
    sessions: sessionmaker[Session], series_uid: str, settings: WorkerSettings
) -> None:
    with sessions.begin() as session:
        path = Path(session.scalars(select(Instance.path).order_by(Instance.id)).all()[5])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    AnalysisTask(settings, sessions, "worker").run(opened(sessions, series_uid, identity.current(settings)))
    ((state, code, _),) = outcomes(sessions)
    assert (state, code) == ("failed", "image_changed")


def test_a_bomb_ends_its_job_with_a_code_and_no_worker(
    sessions: sessionmaker[Session], series_uid: str, settings: WorkerSettings, tmp_path: Path
) -> None:
    bomb = with_frame(tmp_path / "bomb", JPEG2000Lossless, many_components(16384))
    of_bomb = registered(tmp_path / "spool", sessions, bomb)
    worker, ours = AnalysisTask(settings, sessions, "worker"), identity.current(settings)
    for uid in (of_bomb, series_uid):
        worker.run(opened(sessions, uid, ours))
    assert [code for _, code, _ in outcomes(sessions)] == ["pixel_bomb", "not_chest"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_memory_limit_ends_one_job_and_the_next_is_measured(
    sessions: sessionmaker[Session],
    settings: WorkerSettings,
    chest: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(decoders.DECODERS, JPEG2000Lossless, hoard)
    bomb = with_frame(tmp_path / "bomb", JPEG2000Lossless, many_components(1))
    worker, ours = AnalysisTask(settings, sessions, "worker"), identity.current(settings)
    for paths in (bomb, chest):
        worker.run(opened(sessions, registered(tmp_path / "spool", sessions, paths), ours))
    assert [(state, code) for state, code, _ in outcomes(sessions)] == [("rejected", "pixel_bomb"), ("encoded", None)]
    with sessions.begin() as session:
        assert set(session.scalars(select(Job.detail).order_by(Job.id)).first() or {}) == {"allowed_bytes"}
        assert set(session.scalars(select(Measurement.job_id))) == {2}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("given", "kinds"),
    [({}, ["seg", "lungs", "sr", "page", "picture"]), ({"one_seg": True, "page": False}, ["seg", "sr", "picture"])],
)
def test_settings_say_which_objects_are_written(
    sessions: sessionmaker[Session],
    settings: WorkerSettings,
    chest: list[Path],
    tmp_path: Path,
    given: dict[str, bool],
    kinds: list[str],
) -> None:
    own = settings.model_copy(update=given)
    uid = registered(tmp_path / "spool", sessions, chest)
    AnalysisTask(own, sessions, "worker").run(opened(sessions, uid, identity.current(own)))
    with sessions.begin() as session:
        assert list(session.scalars(select(Output.kind).order_by(Output.id))) == kinds


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_document_and_key_images_are_made_where_asked(
    sessions: sessionmaker[Session], settings: WorkerSettings, chest: list[Path], tmp_path: Path
) -> None:
    asked = settings.model_copy(update={"pdf": True, "key_images": True, "page": False, "destinations": (PACS,)})
    job_id = opened(sessions, registered(tmp_path / "spool", sessions, chest), identity.current(asked))
    AnalysisTask(asked, sessions, "worker").run(job_id)
    with sessions.begin() as session:
        made = {output.kind: Path(output.path) for output in session.scalars(select(Output))}
        sent = set(session.scalars(select(Output.kind).join(Delivery, Delivery.output_id == Output.id)))
    assert made.keys() == {"seg", "lungs", "sr", "pdf", "key_images", "picture"}
    assert sent == made.keys() - {"picture"}
    assert dcmread(made["pdf"]).SOPClassUID == EncapsulatedPDFStorage
    assert dcmread(made["key_images"]).SOPClassUID == KeyObjectSelectionDocumentStorage


def test_weights_that_cannot_be_loaded_fail_the_job(
    sessions: sessionmaker[Session], series_uid: str, settings: WorkerSettings, tmp_path: Path
) -> None:
    without = settings.model_copy(update={"weights": tmp_path / "absent.safetensors"})
    AnalysisTask(without, sessions, "worker").run(opened(sessions, series_uid, OF_THE_NODE))
    assert outcomes(sessions) == [("failed", "weights_mismatch", "n" * 64)]


def test_without_a_model_the_worker_tells_each_job_why(
    sessions: sessionmaker[Session],
    series_uid: str,
    settings: WorkerSettings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    without = settings.model_copy(update={"weights": tmp_path / "absent.safetensors"})
    site = Site(without, "sqlite://")
    site.sessions = sessions
    site.prepare()
    site.analyse(opened(sessions, series_uid, OF_THE_NODE))
    assert outcomes(sessions) == [("failed", "weights_mismatch", "n" * 64)]
    assert "the model cannot be loaded" in caplog.text


PROFILES = """
[[destination]]
url = "dicom://ONE@127.0.0.1:104"
[[destination]]
url = "dicom://TWO@127.0.0.1:104"
sr_class = "enhanced"
[[destination]]
url = "dicom://THREE@127.0.0.1:104"
seg = "one"
objects = ["seg", "sr"]
[[destination]]
url = "mllp://127.0.0.1:2575"
"""
WANTED = {
    "dicom://ONE@127.0.0.1:104": ["disease seg", "lungs seg", "sr", None],
    "dicom://TWO@127.0.0.1:104": ["disease seg", "lungs seg", "enhanced sr", None],
    "dicom://THREE@127.0.0.1:104": ["seg", "sr with seg"],
    "mllp://127.0.0.1:2575": ["sr"],
}


def segs_named_by(report: Dataset) -> set[str]:
    """Return the UIDs of the segmentations that an SR refers to, anywhere in it."""
    found: set[str] = set()
    report.walk(lambda _, element: found.add(element.value) if element.keyword == "ReferencedSOPInstanceUID" else None)
    segs = (one for one in report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence)
    kept = {item.ReferencedSOPInstanceUID for one in segs for item in one.ReferencedSOPSequence
            if item.ReferencedSOPClassUID == SegmentationStorage}  # fmt: skip
    return found & kept


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_each_profile_has_objects_of_its_own_made_once(
    sessions: sessionmaker[Session], settings: WorkerSettings, chest: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "site.toml").write_text(PROFILES)
    own = settings.model_copy(update={"site_file": tmp_path / "site.toml"})
    job_id = opened(sessions, registered(tmp_path / "spool", sessions, chest), identity.current(own))
    AnalysisTask(own, sessions, "worker").run(job_id)
    with sessions.begin() as session:
        made = {one.role: dcmread(one.path) for one in session.scalars(select(Output)) if one.role}
        sent = select(Delivery.destination, Output.role).join(Output, Delivery.output_id == Output.id)
        rows = session.execute(sent.order_by(Output.id)).all()
    assert {url: [role for to, role in rows if to == url] for url in WANTED} == WANTED
    assert list(made) == ["disease seg", "lungs seg", "seg", "sr", "enhanced sr", "sr with seg"]
    assert len({one.SOPInstanceUID for one in made.values()} | {one.SeriesInstanceUID for one in made.values()}) == 12
    apart = {made[role].SOPInstanceUID for role in ("disease seg", "lungs seg")}
    assert segs_named_by(made["sr"]) == segs_named_by(made["enhanced sr"]) == apart
    assert segs_named_by(made["sr with seg"]) == {made["seg"].SOPInstanceUID}
    tracking_uids = [
        {item.UID for item in _items(report) if "UID" in item}
        for report in (made["sr"], made["enhanced sr"], made["sr with seg"])
    ]
    assert tracking_uids[0] == tracking_uids[1] == tracking_uids[2] != set()
    # Of a profile that came later nothing was made: an operator's retry sends nothing, and says so.
    refused(sessions, job_id)
    (tmp_path / "site.toml").write_text(f'{PROFILES}[[destination]]\nurl = "{PACS}"\nsr_class = "comprehensive"\n')
    AnalysisTask(own, sessions, "worker").run(job_id)
    assert [(state, code) for state, code, _ in outcomes(sessions)] == [("failed", "profile_not_made")]


def refused(sessions: sessionmaker[Session], job_id: int) -> None:
    """Have every destination refuse every object, and an operator try the job again."""
    now = datetime.now(UTC)
    with sessions.begin() as session:
        for delivery_id in session.scalars(select(Delivery.id)):
            tracking.refuse(session, delivery_id, "refused", 0xC000, tracking.Change("worker", now, "store_refused"))
        tracking.retry(session, job_id, "operator", now)


def _items(item: Dataset) -> Iterator[Dataset]:
    yield item
    for below in item.get("ContentSequence", []):
        yield from _items(below)
