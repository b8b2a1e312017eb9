"""Private servers for the tests: each on a free loopback port, in a folder of its own, ended with the session."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
import redis

from tests.support.node_forks import Fork

DEBIAN = {
    "postgres": "postgresql",
    "initdb": "postgresql",
    "redis-server": "redis-server",
    "Orthanc": "orthanc",
    "storescu": "dcmtk",
    "echoscu": "dcmtk",
    "storescp": "dcmtk",
    "dcmqrscp": "dcmtk",
    "dcmcjpeg": "dcmtk",
    "dcmconv": "dcmtk",
    "dcmdjpeg": "dcmtk",
    "dcm2pdf": "dcmtk",
    "dcmdump": "dcmtk",
    "dsr2xml": "dcmtk",
    "dsrdump": "dcmtk",
    "dcentvfy": "dicom3tools",
    "dciodvfy": "dicom3tools",
    "promtool": "prometheus",
    "rsync": "rsync",
    "sqlite3": "sqlite3",
    "rsyslogd": "rsyslog",
    "nginx": "nginx-light",
    "systemd-analyze": "systemd",
    "libOrthancDicomWeb.so": "orthanc-dicomweb",
    "lmnsd_ossl.so": "rsyslog-openssl",
}
# A database of a test lasts for seconds: nothing is done for its safety, and no vacuum visits hundreds of them.
UNKEPT = [
    word
    for setting in ("fsync=off", "full_page_writes=off", "max_wal_size=8GB", "checkpoint_timeout=1d", "autovacuum=off")
    for word in ("-c", setting)
]
MEMORY = Path("/dev/shm")  # noqa: S108  as above
ROOM_FOR_POSTGRES = 2 * 1024**3
# An activated environment may put pynetdicom's programs of the same names first; these are DCMTK's.
SYSTEM_FOLDERS = ["/usr/bin", "/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
LIBRARY_FOLDERS = [Path("/usr/share/orthanc/plugins"), *Path("/usr/lib").glob("*/rsyslog")]


def program(name: str) -> str:
    """Return the path of a Debian program; where it is absent, skip at home and fail in CI."""
    return shutil.which(name, path=os.pathsep.join(SYSTEM_FOLDERS)) or _absent(name, f"apt-get install {DEBIAN[name]}")


def library(name: str) -> str:
    """Return the path of what a Debian program loads; where it is absent, skip at home and fail in CI."""
    found = (str(folder / name) for folder in LIBRARY_FOLDERS if (folder / name).exists())
    return next(found, "") or _absent(name, f"apt-get install {DEBIAN[name]}")


def tool(name: str) -> Any:
    """Return a package that `make tools` installs; where it is absent, skip at home and fail in CI."""
    if find_spec(name.partition(".")[0]) is None:
        _absent(name, "make tools")
    return import_module(name)


def _absent(name: str, install: str) -> NoReturn:
    reason = f"{name} is not installed: {install}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """Return a loopback TCP port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ready: Callable[[], bool], timeout_s: float = 30.0, what: str = "the condition") -> None:
    """Poll until ``ready`` is true; fail the test where it takes longer than ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come true within {timeout_s} s")
        time.sleep(0.05)


def port_answers(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


@contextmanager
def running(
    command: list[str], log: Path, stop: signal.Signals = signal.SIGTERM, **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for the length of the block; ``stop`` is how it is asked to end."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **options)
    with ended(process, stop):
        yield process


@contextmanager
def ended(process: subprocess.Popen[bytes] | Fork, stop: signal.Signals = signal.SIGTERM) -> Iterator[Any]:
    """Ask a process to end after the block, and wait for that."""
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            # Longer than a site gives its parts.
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def postgres() -> Iterator[str]:
    """Run a Postgres server; yield its SQLAlchemy URL without a database name."""
    # The server refuses to run as root, and the account that may run it cannot walk through pytest's folders.
    account = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="scleroscan-postgres-", dir=_memory()) as name:
        folder, port = Path(name), free_port()
        data, log = folder / "data", folder / "postgres.log"
        if account:
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        initdb = [program("initdb"), "-D", str(data), "-U", "scleroscan", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **account)
        serve = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), *UNKEPT]
        # SIGQUIT: at once, without writing out what is thrown away.
        with running([program("postgres"), "-D", str(data), *serve], log, signal.SIGQUIT, **account):
            dsn = f"host=127.0.0.1 port={port} user=scleroscan dbname=postgres"
            wait_until(lambda: _postgres_answers(dsn), what="Postgres")
            yield f"postgresql+psycopg://scleroscan@127.0.0.1:{port}"


def _memory() -> Path | None:
    """Return a folder in memory where it has room: to remove the files of a database takes a disk seconds."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_FOR_POSTGRES else None


def _postgres_answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a Redis server; yield its URL."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with running(command, folder / "redis.log"):
        client = redis.Redis(port=port)
        wait_until(lambda: port_answers(port) and bool(client.ping()), what="Redis")
        client.close()
        yield f"redis://127.0.0.1:{port}/0"


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc: its DICOM address and the port of its REST interface."""

    ae_title: str
    dicom_port: int
    http_port: int

    @property
    def destination(self) -> str:
        """The address as WORKER_DESTINATIONS wants it."""
        return f"dicom://{self.ae_title}@127.0.0.1:{self.dicom_port}"

    @property
    def dicom_web(self) -> str:
        """The base URL of its DICOMweb services."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def request(self, method: str, path: str, body: bytes | object = None) -> Any:
        """Send a request to its REST interface, anything but bytes as JSON, and return the JSON of the answer."""
        return json.loads(self.content(method, path, body) or b"null")

    def content(self, method: str, path: str, body: bytes | object = None) -> bytes:
        """Send a request as :meth:`request` does, and return the answer as it came."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = HTTPConnection("127.0.0.1", self.http_port, timeout=60)
        try:
            connection.request(method, path, content)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == 200, (method, path, answer.status, said)
            return said
        finally:
            connection.close()


@contextmanager
def orthanc(folder: Path, **options: object) -> Iterator[Orthanc]:
    """Run an Orthanc that takes whatever is stored to it; ``options`` are lines of its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    dicom_port, http_port = free_port(), free_port()
    settings = {
        "Name": "PACS of the tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "DicomAet": "ORTHANC",
        "DicomPort": dicom_port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomCheckCalledAet": False,
        "OverwriteInstances": True,
        "Plugins": [library("libOrthancDicomWeb.so")],
        "DicomWeb": {"Enable": True},
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
    }
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(settings | options))
    log = folder / "orthanc.log"
    with running([program("Orthanc"), str(configuration)], log):
        wait_until(lambda: b"Orthanc has started" in log.read_bytes(), what="Orthanc")
        yield Orthanc("ORTHANC", dicom_port, http_port)
