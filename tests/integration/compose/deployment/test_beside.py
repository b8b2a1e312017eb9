"""What stands beside Scleroscan in compose.yaml, by the files that are mounted into it."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import REPOSITORY, composed, monitored, services
from tests.support.services import Orthanc

MONITOR = REPOSITORY / "compose" / "monitor"


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    made = composed.made_secrets(tmp_path_factory.mktemp("secrets"))
    return json.loads((made / "orthanc-users.json").read_text())


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, users: dict[str, dict[str, str]]) -> Iterator[Orthanc]:
    own = json.loads((composed.CONTAINERS / "orthanc.json").read_text())
    # The test's own ports, and to nobody beyond this machine.
    for here in ("DicomPort", "HttpPort", "RemoteAccessAllowed"):
        del own[here]
    with services.orthanc(tmp_path_factory.mktemp("archive"), **own, **users) as running:
        yield running


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, archive: Orthanc) -> Iterator[int]:
    """The port of nginx before OHIF and the archive."""
    folder, port = tmp_path_factory.mktemp("door"), services.free_port()
    (folder / "index.html").write_text("the one page")
    text = (composed.CONTAINERS / "nginx.conf").read_text()
    for there, here in (
        ("/tmp/", f"{folder}/"),  # noqa: S108  of the container
        ("listen 8080", f"listen 127.0.0.1:{port}"),
        ("/usr/share/nginx/html", str(folder)),
        ("orthanc:8042", f"127.0.0.1:{archive.http_port}"),
    ):
        assert there in text
        text = text.replace(there, here)
    (folder / "nginx.conf").write_text(text)
    command = [services.program("nginx"), "-c", str(folder / "nginx.conf"), "-g", "daemon off; user root;"]
    with services.running(command, folder / "nginx.log"):
        services.wait_until(lambda: services.port_answers(port), what="nginx")
        yield port


def test_ohif_and_the_archive_lie_behind_one_address(door: int, users: dict[str, dict[str, str]]) -> None:
    assert monitored.get(door, "/viewer?StudyInstanceUIDs=1.2") == (200, "the one page")
    (login,) = users["RegisteredUsers"].items()
    shown = f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"
    assert monitored.get(door, "/dicom-web/studies", Authorization=shown) == (200, "[]")


def test_the_archive_shows_nothing_without_its_password(door: int, archive: Orthanc) -> None:
    assert monitored.get(door, "/dicom-web/studies")[0] == 401
    assert monitored.get(archive.http_port, "/patients")[0] == 401


def test_promtool_takes_how_prometheus_reads_the_site(tmp_path: Path) -> None:
    text = (composed.CONTAINERS / "prometheus.yml").read_text()
    (tmp_path / "token").write_text("0123456789abcdef")
    (tmp_path / "alerts.yml").write_bytes((MONITOR / "alerts.yml").read_bytes())
    (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/MONITOR_TOKEN", str(tmp_path / "token")))
    command = [services.program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    (job,) = yaml.safe_load(text)["scrape_configs"]
    host, port = job["static_configs"][0]["targets"][0].split(":")
    assert composed.our_services()[host]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert job["authorization"]["credentials_file"].rpartition("/")[2] in composed.our_services()[host]["secrets"]


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    source = yaml.safe_load((composed.CONTAINERS / "grafana-source.yml").read_text())["datasources"][0]
    board = yaml.safe_load((composed.CONTAINERS / "grafana-boards.yml").read_text())["providers"][0]
    document = composed.document()["services"]
    assert source["url"] == "http://prometheus:9090"
    assert source["type"] == "prometheus"
    mounts = [mount.split(":")[1] for mount in document["grafana"]["volumes"]]
    assert [mount for mount in mounts if mount.startswith(board["options"]["path"])] != []
