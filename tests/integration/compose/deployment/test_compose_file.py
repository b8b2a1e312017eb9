"""compose.yaml: Docker's schema takes it, it names what is there, and its parts run as it says."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose import settings
from tests import image
from tests.support import REPOSITORY, composed, services, words
from tests.support.composed import ComposedSite


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[ComposedSite]:
    with composed.running(tmp_path_factory.mktemp("composed"), postgres_server) as running:
        yield running


def test_the_schema_of_compose_files_takes_it() -> None:
    services.tool("check_jsonschema")
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*checker, str(composed.COMPOSE)], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_hadolint_says_nothing_against_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        services.tool("hadolint")
    # DL3059: fewer layers; the first stage is thrown away.
    checked = subprocess.run(
        [hadolint, "--ignore", "DL3059", image.DOCKERFILE], check=False, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_image_takes_neither_secrets_nor_tests() -> None:
    assert "compose/secrets" in image.left_out()
    assert set(image.taken()) & {"tests", "docs", ".git"} == set()
    assert {"compose", "db", "dicom_node", "worker", "scleroscan.py", "pyproject.toml"} <= set(image.taken())


def test_its_commands_settings_and_files_are_there() -> None:
    document, known = composed.document(), settings.setting_names()
    for name, service in composed.our_services().items():
        assert words.fault_of(service["command"]) is None, name
        assert set(service["environment"]) <= set(known), name
        assert set(service["secrets"]) <= set(known), name
    named = {secret for service in document["services"].values() for secret in service.get("secrets", ())}
    assert named == set(document["secrets"])
    mounts = [mount for service in document["services"].values() for mount in service.get("volumes", ())]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert len(files) > 5
    assert [file for file in files if not (REPOSITORY / "compose" / file).is_file()] == []


def test_its_containers_have_no_rights_that_they_do_not_need() -> None:
    services_ = composed.document()["services"]
    for name, service in services_.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only") or name == "orthanc", name
        assert service["image"].split(":")[1].lstrip("v")[0].isdigit(), name
    inside = [name for name, service in services_.items() if service["networks"] == ["inside"]]
    assert {"postgres", "redis", "analyse"} <= set(inside)
    assert services_["listener"]["secrets"] == []


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    folder = composed.made_secrets(tmp_path)
    made = {file.name: file.read_text() for file in folder.iterdir()}
    assert set(made) == set(composed.document()["secrets"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert made["postgres_password"] in made["DB_URL"]
    assert len({made["postgres_password"], made["MONITOR_TOKEN"], made["grafana_password"]}) == 3
    subprocess.run([tmp_path / "containers" / "secrets.sh"], check=True, capture_output=True)
    assert {file.name: file.read_text() for file in folder.iterdir()} == made


@pytest.mark.timeout(400)
def test_its_parts_become_ready_under_a_read_only_root(site: ComposedSite) -> None:
    services.wait_until(lambda: site.has_lost_a_part() or site.is_healthy("monitor"), 240, "a site that is ready")
    assert not site.has_lost_a_part()
    for name in ("listener", "status-page"):
        assert site.is_healthy(name), name
    for name, process in site.processes.items():
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert f"\nUid:\t{composed.USER}\t" in status, name
        (root,) = (
            line for line in Path(f"/proc/{process.pid}/mounts").read_text().splitlines() if line.split()[1] == "/"
        )
        assert root.split()[3].startswith("ro"), name
    assert (site.folder / "site" / "spool").is_dir()


def test_a_health_check_fails_where_nobody_answers() -> None:
    port = services.free_port()
    nobody = ComposedSite(Path(), dict.fromkeys(composed.PORTS, port), {})
    assert [nobody.is_healthy(name) for name in ("listener", "monitor", "status-page")] == [False, False, False]
