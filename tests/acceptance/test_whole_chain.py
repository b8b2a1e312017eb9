"""The whole way on real servers: DCMTK sends, Postgres and Redis keep, Orthanc receives, others read what we wrote."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from pydicom import dcmread

from tests.acceptance.site import Site, running
from tests.support import independent, monitored, services
from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series

SEGMENT_HU = {
    "Left lung": "Scleroscan left lung",
    "Right lung": "Scleroscan right lung",
    "Ground glass opacity": "Scleroscan ground glass",
    "Reticulation": "Scleroscan reticulation",
    "Consolidation": "Scleroscan consolidation",
}
MEAN_HU = "Attenuation Coefficient, Mean"


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str, redis_url: str, orthanc: services.Orthanc
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with running(folder, f"{postgres_server}/postgres", redis_url, orthanc) as one:
        yield one


@pytest.fixture
def phantom_series(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small phantom of its own for each test, as a folder of DICOM files."""
    seed = 7_000 + sum(request.node.name.encode())
    spec = PhantomSpec(seed=seed, shape=(64, 192, 192), spacing_mm=(4.3, 1.9, 1.9), extent_pct=25.0)
    write_series(render(spec), tmp_path / "ct", PhantomIdentity())
    return tmp_path / "ct"


def test_a_site_that_is_up_shows_that_it_is_ready(site: Site) -> None:
    services.wait_until(lambda: services.port_answers(site.monitor_port), 60, "the monitor")
    services.wait_until(lambda: monitored.get(site.monitor_port, "/health/ready")[0] == 200, 60, "a ready site")


def uids(folder: Path) -> tuple[str, str]:
    """Return (series, study) of a folder."""
    header = dcmread(next(path for path in sorted(folder.iterdir()) if path.suffix == ".dcm"), stop_before_pixels=True)
    return str(header.SeriesInstanceUID), str(header.StudyInstanceUID)


def assert_one_result(site: Site, study_uid: str) -> None:
    assert sorted(found["modality"] for found in site.archived(study_uid)) == ["OT", "SEG", "SEG", "SR"]


def assert_read_alike_by_others(site: Site, ct: Path, tmp_path: Path) -> None:
    """SEG and SR from the archive are valid, and others see every segment where we see it."""
    _, study_uid = uids(ct)
    files = [(f["modality"], site.fetch(f["id"], tmp_path / f"{f['id']}.dcm")) for f in site.archived(study_uid)]
    assert [independent.validator_errors(path) for _, path in files] == [[], [], [], []]
    (report,) = (independent.report(path, tmp_path / "sr") for modality, path in files if modality == "SR")
    segs = [independent.segments(path, tmp_path / path.stem) for modality, path in files if modality == "SEG"]
    masks = segs[0] | segs[1]
    assert set(masks) == set(SEGMENT_HU)
    for label, mask in masks.items():
        ours = report[SEGMENT_HU[label]]
        if MEAN_HU in ours:
            assert independent.mean_hu(ct, mask) == pytest.approx(ours[MEAN_HU], abs=1), label


def test_a_chest_ct_comes_back_as_seg_and_sr(site: Site, phantom_series: Path, tmp_path: Path) -> None:
    series_uid, study_uid = uids(phantom_series)
    site.send(phantom_series)
    assert site.wait_for(series_uid, "delivered", "rejected", "failed", "review").state == "delivered"
    assert_one_result(site, study_uid)
    assert_read_alike_by_others(site, phantom_series, tmp_path)
    audit = site.command("audit", series_uid)
    assert audit["chain_fault"] is None
    assert audit["results"][0]["delivered_at"] is not None
    assert [e["detail"]["stage"] for e in audit["trail"] if e["code"] == "stage"] == [
        "read",
        "lungs",
        "patterns",
        "quantify",
        "encode",
    ]


def test_real_ct_comes_back_as_seg_and_sr(site: Site, real_data: Path, tmp_path: Path) -> None:
    ct = real_data / "lidc-0001" / "dicom"
    series_uid, study_uid = uids(ct)
    site.send(ct)
    site.wait_for(series_uid, "delivered", "rejected", "failed", "review", timeout_s=280)
    (row,) = site.command("audit", series_uid)["results"]
    assert row["state"] == "delivered"
    assert 3_000 < row["lung_volume_ml"] < 4_500
    assert_one_result(site, study_uid)
    assert_read_alike_by_others(site, ct, tmp_path)


def test_the_same_series_sent_twice_gives_one_seg_and_one_sr(site: Site, phantom_series: Path) -> None:
    series_uid, study_uid = uids(phantom_series)
    site.send(phantom_series)
    first = site.wait_for(series_uid, "delivered")
    site.send(phantom_series)
    services.wait_until(lambda: not any((site.folder / "spool" / "new").iterdir()), what="the spool to be registered")
    assert site.wait_for(series_uid, "delivered").job_id == first.job_id
    assert_one_result(site, study_uid)


def test_a_missing_slice_is_rejected_with_nothing_sent_or_lost(site: Site, phantom_series: Path) -> None:
    series_uid, study_uid = uids(phantom_series)
    sorted(phantom_series.iterdir())[30].unlink()
    site.send(phantom_series)
    site.wait_for(series_uid, "rejected")
    (row,) = site.command("status", series_uid)
    assert row["state"] == "rejected"
    assert (row["code"], row["detail"]["missing"], row["detail"]["received"]) == ("missing_slices", 1, 63)
    assert site.archived(study_uid) == []
    assert len(list((site.folder / "spool" / "series" / series_uid).iterdir())) == 63


def test_the_missing_slice_sent_later_is_measured_by_a_new_job(site: Site, phantom_series: Path) -> None:
    series_uid, study_uid = uids(phantom_series)
    late = sorted(phantom_series.iterdir())[30]
    kept = late.rename(phantom_series.parent / "late.dcm")
    site.send(phantom_series)
    rejected = site.wait_for(series_uid, "rejected")
    site.send(kept)
    assert site.wait_for(series_uid, "delivered").job_id > (rejected.job_id or 0)
    assert_one_result(site, study_uid)


def test_a_worker_killed_during_a_job_leaves_one_result(site: Site, phantom_series: Path) -> None:
    series_uid, study_uid = uids(phantom_series)
    site.send(phantom_series)
    site.wait_for(series_uid, "lungs", "patterns")
    site.signal("analyse", signal.SIGKILL)
    row = site.wait_for(series_uid, "delivered")
    assert row.attempt >= 2
    assert_one_result(site, study_uid)


def test_jobs_end_though_the_broker_lost_everything(site: Site, phantom_series: Path, redis_url: str) -> None:
    series_uid, study_uid = uids(phantom_series)
    # With the worker stopped the wake-up surely lies in the broker when it is wiped.
    site.signal("analyse", signal.SIGSTOP)
    try:
        site.send(phantom_series)
        site.wait_for(series_uid, "queued")
        with redis.Redis.from_url(redis_url) as broker:
            services.wait_until(lambda: bool(broker.llen("analyse")), what="the wake-up")
            broker.flushall()
    finally:
        site.signal("analyse", signal.SIGCONT)
    site.wait_for(series_uid, "delivered")
    assert_one_result(site, study_uid)


def test_no_identity_of_the_patient_is_in_any_log(site: Site, tmp_path: Path) -> None:
    spec = PhantomSpec(seed=4711, shape=(40, 128, 128), spacing_mm=(6.9, 2.8, 2.8), extent_pct=20.0)
    canary = PhantomIdentity(
        patient_name="CANARY^NAME", patient_id="CANARY-ID", birth_date="19331224", accession_number="CANARY-ACC"
    )
    write_series(render(spec), tmp_path / "ct", canary)
    series_uid, _ = uids(tmp_path / "ct")
    site.send(tmp_path / "ct")
    site.wait_for(series_uid, "delivered", "rejected", "failed", "review")
    log = (site.folder / "site.log").read_text()
    assert series_uid in log
    assert not [word for word in ("CANARY", "19331224") if word in log]
