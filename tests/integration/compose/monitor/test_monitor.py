"""The monitor of a real site: what it counts, and that it notices a part that stopped without a word."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from db.address import ApplicationEntity
from dicom_node.answers import KEPT_FOR_WHO_ASKED
from tests.support import monitored, services
from tests.support.monitored import MonitoredSite
from worker.delivery import dicom
from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series

CANARY = PhantomIdentity(patient_name="CANARY^NAME", patient_id="CANARY-ID")
SLICES = 64


class Broker:
    """A Redis that can be ended and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, services.free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._running = ExitStack()

    def start(self) -> None:
        words = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        command = [services.program("redis-server"), *words]
        self._running.enter_context(services.running(command, self._folder / "redis.log"))
        services.wait_until(lambda: services.port_answers(self._port), what="Redis")

    def stop(self) -> None:
        self._running.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    one = Broker(tmp_path_factory.mktemp("broker"))
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, broker: Broker, orthanc: services.Orthanc
) -> Iterator[MonitoredSite]:
    folder = tmp_path_factory.mktemp("monitored")
    url = f"sqlite:///{folder / monitored.ROWS}"
    # Orthanc answers no storage commitment to who is no modality of its own: its worker would wait two minutes for it.
    (folder / "site.toml").write_text(f'[[destination]]\nurl = "{orthanc.destination}"\nproof = "query"\n')
    with monitored.running(folder, url, broker.url, DICOM_NODE_SITE_FILE=str(folder / "site.toml")) as one:
        one.wait_until_ready()
        yield one


def status_without_series(site: MonitoredSite, path: Path) -> int:
    """Send an image without its series, and return the status."""
    dataset = dcmread(path)
    entity = AE("SCANNER")
    entity.add_requested_context(dataset.SOPClassUID, ExplicitVRLittleEndian)
    association = entity.associate(
        "127.0.0.1", site.dicom_port, ae_title="SCLEROSCAN", evt_handlers=[KEPT_FOR_WHO_ASKED]
    )
    del dataset.SeriesInstanceUID
    status = association.send_c_store(dataset)
    association.release()
    return int(status.Status)


@pytest.fixture(scope="module")
def measured(site: MonitoredSite, tmp_path_factory: pytest.TempPathFactory) -> MonitoredSite:
    """The site after one phantom was measured and delivered, and one image refused."""
    folder = tmp_path_factory.mktemp("phantom")
    spec = PhantomSpec(seed=11, shape=(SLICES, 256, 256), spacing_mm=(4.3, 1.4, 1.4), extent_pct=25.0)
    write_series(render(spec), folder, CANARY)
    paths = sorted(folder.glob("*.dcm"))
    dicom.store(paths, ApplicationEntity("SCLEROSCAN", "127.0.0.1", site.dicom_port), "SCANNER")
    assert status_without_series(site, paths[0]) == 0xC000
    services.wait_until(lambda: site.number("scleroscan_jobs", state="delivered") == 1, 240, "a delivered job")
    return site


def test_a_phantom_and_a_refusal_are_counted(measured: MonitoredSite, orthanc: services.Orthanc) -> None:
    number = measured.number
    assert number("scleroscan_images_received_total") == SLICES
    assert number("scleroscan_image_bytes_received_total") > SLICES * 256 * 256 * 2
    assert number("scleroscan_images_refused_total", code="uid_missing") == 1
    assert number("scleroscan_series", state="complete") == 1
    # Orthanc can prove what it has: the objects are sent now, and committed a moment later, between two looks as well.
    wanted = [{"state": state, "destination": orthanc.destination} for state in ("sent", "committed")]
    deliveries = [one for one in measured.samples() if one.name == "scleroscan_deliveries"]
    assert sum(one.value for one in deliveries if one.labels in wanted) == 4
    assert number("scleroscan_queue_depth", queue="analyse") == 0
    assert number("scleroscan_oldest_open_series_seconds") == 0
    assert number("scleroscan_disk_free_bytes", folder="spool") > 0
    for stage in ("read", "lungs", "patterns"):
        assert number("scleroscan_stage_seconds_count", stage=stage) == 1
        assert 0 < number("scleroscan_stage_seconds_sum", stage=stage) < 240


def test_hard_case_33_nothing_shown_names_a_patient(measured: MonitoredSite) -> None:
    shown = "".join(measured.get(path)[1] for path in ("/metrics", "/health/ready", "/health/live"))
    uids = {sample.labels[label] for sample in measured.samples() for label in sample.labels}
    assert not [label for label in uids if label.startswith(("1.2.", "2.25."))]
    for secret in ("CANARY", "CHEST"):
        assert secret not in shown
        assert secret not in (measured.folder / "monitor.log").read_text()


def test_a_site_that_works_is_live_and_ready(site: MonitoredSite) -> None:
    site.wait_until_ready()
    assert site.get("/health/live") == (200, '{"live":true}')
    status, answer = site.ready()
    assert (status, answer["reasons"]) == (200, [])
    assert set(answer["parts"]) == {
        "database", "scheduler", "analyse", "deliver", "listener", "disk", "registration",
    }  # fmt: skip
    assert {one.value for one in site.samples() if one.name == "scleroscan_part_ready"} == {1.0}


def silent_parts(site: MonitoredSite) -> list[str]:
    """The parts that are named with a reason, each once."""
    return sorted(reason.partition(":")[0] for reason in site.ready()[1]["reasons"])


def test_hard_case_26_parts_that_went_silent_are_named(site: MonitoredSite) -> None:
    site.wait_until_ready()
    silent = ["scheduler", "listener", "analyse", "deliver"]
    for part in silent:
        site.silence(part)
    try:
        # One after another comes back, until one alone is silent, and none.
        while silent:
            services.wait_until(lambda: silent_parts(site) == sorted(silent), 150, f"the names of {silent}")
            assert site.ready()[0] == 503
            assert {site.number("scleroscan_part_ready", part=part) for part in silent} == {0}
            assert site.get("/health/live")[0] == 200
            site.signal(silent.pop(0), signal.SIGCONT)
    finally:
        for part in silent:
            site.signal(part, signal.SIGCONT)
    site.wait_until_ready()


def test_hard_case_26_a_broker_that_left_and_came_is_seen(site: MonitoredSite, broker: Broker) -> None:
    site.wait_until_ready()
    broker.stop()
    services.wait_until(lambda: len(site.ready()[1]["reasons"]) == 2, 150, "both queues to be named")
    assert [reason.partition(":")[0] for reason in site.ready()[1]["reasons"]] == ["analyse", "deliver"]
    # One worker stays silent after the broker is back: that one is named, and no other.
    site.silence("deliver")
    try:
        broker.start()
        services.wait_until(lambda: len(site.ready()[1]["reasons"]) == 1, 150, "the other worker to be back")
        assert site.ready()[1]["reasons"][0].startswith("deliver: stopped")
    finally:
        site.signal("deliver", signal.SIGCONT)
    site.wait_until_ready()


def test_a_consumer_that_was_killed_is_named_with_the_time(site: MonitoredSite) -> None:
    site.wait_until_ready()
    site.signal("deliver", signal.SIGKILL)
    services.wait_until(lambda: site.ready()[0] == 503, 150, "503 for the consumer")
    (reason,) = site.ready()[1]["reasons"]
    assert reason.startswith("deliver: stopped: gave no sign of life for 1")
