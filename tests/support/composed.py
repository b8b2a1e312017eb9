"""The site of compose.yaml without a container engine: its very commands, environment and secrets, each part as an
account of its own under a root that is read-only."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from dicom_node.site_file import EVERYWHERE
from tests.support import REPOSITORY, databases, services

COMPOSE = REPOSITORY / "compose" / "compose.yaml"
CONTAINERS = REPOSITORY / "compose" / "containers"
USER = 10400
MAY_MOUNT = ["unshare", "--mount", "true"]
# Where the folders of a container lie here.
FOLDERS = {"/site": "/mnt/site", "/run/secrets": "/mnt/secrets", "/etc/scleroscan": "/mnt/etc"}
PORTS = {"11112": "DICOM_NODE_PORT", "11180": "MONITOR_PORT", "11181": "STATUS_PAGE_PORT"}
# The root of the part is read-only; it may write /site and /tmp. It may read all, because Python may lie in a home, and
# the repository in /tmp, where it is put back.
CONFINED = f"""
set -eu
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/site /mnt/secrets /mnt/etc /mnt/repository
mount --bind {REPOSITORY} /mnt/repository
mount --bind "$1/site" /mnt/site
mount --bind "$1/secrets" /mnt/secrets
mount --bind {CONTAINERS}/site /mnt/etc
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p {REPOSITORY}
mount --rbind /mnt/repository {REPOSITORY}
mount -o remount,bind,ro {REPOSITORY}
umount /mnt/repository
mount -o remount,bind,ro /mnt
mount -o remount,bind,ro /
shift
cd /mnt/site
exec setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs \
    --bounding-set -all,+dac_read_search --inh-caps -all,+dac_read_search --ambient-caps -all,+dac_read_search "$@"
"""


def document() -> dict[str, Any]:
    """Return compose.yaml as Docker reads it."""
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


def our_services() -> dict[str, dict[str, Any]]:
    """Return the services that run our image, by name."""
    return {name: one for name, one in document()["services"].items() if one["image"].startswith("scleroscan:")}


@dataclass(frozen=True)
class ComposedSite:
    """What runs, and on which ports of this machine."""

    folder: Path
    ports: Mapping[str, int]
    processes: dict[str, subprocess.Popen[bytes]]

    def has_lost_a_part(self) -> bool:
        """Whether a part has ended, as it does where its settings cannot be used."""
        return any(process.poll() is not None for process in self.processes.values())

    def is_healthy(self, name: str) -> bool:
        """Run the health check of a service as compose.yaml writes it."""
        kind, program, *words = our_services()[name]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        mapped = [_with_ports(word, self.ports) for word in words]
        return not subprocess.run([sys.executable, *mapped], check=False, capture_output=True).returncode


@contextmanager
def running(folder: Path, postgres_server: str) -> Iterator[ComposedSite]:
    """Run migrations, then every part of the default profile, for the length of the block."""
    if os.geteuid() != 0 or subprocess.run(MAY_MOUNT, check=False, capture_output=True).returncode:
        pytest.skip("a read-only root of its own takes an account that may mount")
    ports = {port: services.free_port() for port in PORTS}
    url = databases.empty_postgres(postgres_server)
    with ExitStack() as stack:
        redis_port = stack.enter_context(_redis(made_secrets(folder)))
        stack.callback(databases.drop_postgres, url)
        _point_here(folder / "secrets", url, redis_port)
        # Docker lays the files alone into a folder of its own.
        (folder / "secrets").chmod(0o755)
        (folder / "site").mkdir()
        os.chown(folder / "site", USER, USER)
        parts = {name: one for name, one in our_services().items() if "profiles" not in one}
        migrate = parts.pop("migrate")
        migrated = subprocess.run(
            _command(folder, migrate), check=False, env=_environment(migrate, ports), capture_output=True, text=True
        )
        assert migrated.returncode == 0, migrated.stderr
        processes = {
            name: stack.enter_context(
                services.running(_command(folder, one), folder / f"{name}.log", env=_environment(one, ports))
            )
            for name, one in parts.items()
        }
        yield ComposedSite(folder, ports, processes)


def made_secrets(folder: Path) -> Path:
    """Make secrets as the script beside compose.yaml does; return their folder."""
    (folder / "containers").mkdir()
    shutil.copy(CONTAINERS / "secrets.sh", folder / "containers")
    subprocess.run([folder / "containers" / "secrets.sh"], check=True, capture_output=True)
    return folder / "secrets"


@contextmanager
def _redis(secrets: Path) -> Iterator[int]:
    port = services.free_port()
    command = [
        services.program("redis-server"),
        str(secrets / "redis.conf"),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
    ]
    with services.running(command, secrets.parent / "redis.log"):
        services.wait_until(lambda: services.port_answers(port), what="Redis")
        yield port


def _point_here(secrets: Path, db_url: str, redis_port: int) -> None:
    """Put the servers of the test into the secrets; passwords stay."""
    address, name = db_url.rpartition("@")[2].split("/")
    for file, there, here in (
        (secrets / "DB_URL", "@postgres/scleroscan", f"@{address}/{name}"),
        (secrets / "WORKER_BROKER_URL", "@redis:6379/0", f"@127.0.0.1:{redis_port}/0"),
    ):
        text = file.read_text()
        assert text.endswith(there)
        file.write_text(text.replace(there, here))


def _command(folder: Path, service: dict[str, Any]) -> list[str]:
    program = [sys.executable, "-m", "scleroscan", *service["command"]]
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", CONFINED, "sh", str(folder), *program]


def _environment(service: dict[str, Any], ports: Mapping[str, int]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "CI", "OMP_NUM_THREADS") if name in os.environ}
    own = {name: _mapped(value) for name, value in service["environment"].items()}
    if "DICOM_NODE_HOST" in own or service["command"] == ["listen"]:
        own["DICOM_NODE_HOST"] = "127.0.0.1"
    return kept | own | {name: str(ports[port]) for port, name in PORTS.items()}


def _mapped(value: str) -> str:
    if value == EVERYWHERE:
        return "127.0.0.1"
    there = next((folder for folder in FOLDERS if value.startswith(folder)), "")
    return FOLDERS.get(there, "") + value.removeprefix(there)


def _with_ports(word: str, ports: Mapping[str, int]) -> str:
    for there, here in ports.items():
        word = word.replace(there, str(here))
    return word
