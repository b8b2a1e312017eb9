"""What the doctor says of each fault, word for word: the how-to has the sentences, and these tests make the faults."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme

from compose import doctor, exposure, settings
from compose.check import Check
from db import tracking
from db.engine import open_database
from dicom_node.site_file import EVERYWHERE
from tests.integration.compose.test_command import only_line, scleroscan
from tests.integration.dicom_node.test_calls_by_tls import issued
from tests.support import REPOSITORY, databases, site_rows

HOW_TO = REPOSITORY / "docs" / "how-to" / "when-a-job-stops.md"
WRITTEN_FOLDER = "/srv/scleroscan"
REDIS = "redis://redis.example:6379/0"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a site with default settings."""
    monkeypatch.setenv("DICOM_NODE_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.setenv("WORKER_RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("DB_URL", f"sqlite:///{tmp_path / 'rows.db'}")
    return tmp_path


def nothing_runs(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Leave the site as it is before its first start."""


def open_site(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("DICOM_NODE_HOST", EVERYWHERE)


def loose_modes(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "spool").mkdir()
    (folder / "spool").chmod(0o755)


def half_tls(folder: Path, patch: pytest.MonkeyPatch) -> None:
    files = issued(folder / "own", trustme.CA())
    patch.setenv("DICOM_NODE_TLS_CERT", str(files.certificate))


def absent_key(folder: Path, patch: pytest.MonkeyPatch) -> None:
    files = issued(folder / "own", trustme.CA())
    for name, path in (("CERT", files.certificate), ("KEY", folder / "key.pem"), ("CLIENT_CA", files.authority)):
        patch.setenv(f"DICOM_NODE_TLS_{name}", str(path))


def full_disk(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10**12, used=997 * 10**9, free=3 * 10**9))


def stale_anchors(folder: Path, patch: pytest.MonkeyPatch) -> None:
    sessions, now = open_database(databases.sqlite(folder / "rows.db")), datetime.now(UTC)
    with sessions.begin() as session:
        site_rows.received(session, "1.2.3", "P1", "CT1", now - timedelta(hours=5))
        tracking.anchor(session, folder / "spool" / "anchors.jsonl", now - timedelta(hours=5))
        site_rows.received(session, "1.2.4", "P2", "CT1", now - timedelta(hours=3))


def refused_result(folder: Path, patch: pytest.MonkeyPatch) -> None:
    sessions = open_database(databases.sqlite(folder / "rows.db"))
    site_rows.fill(sessions)
    site_rows.refuse_waiting(sessions)


FAULTS: dict[str, tuple[str, Callable[[Path, pytest.MonkeyPatch], None]]] = {
    "no part runs": ("parts", nothing_runs),
    "anybody may send": ("senders", open_site),
    "others can read the spool": ("permissions", loose_modes),
    "only one of three TLS files": ("TLS", half_tls),
    "the TLS key cannot be read": ("TLS", absent_key),
    "no room on the disk": ("disk", full_disk),
    "results that an archive refused": ("dead letters", refused_result),
}
NOTES = {"events are not anchored any more": ("anchors", stale_anchors)}


def sentences() -> dict[str, list[str]]:
    """Return each row of the how-to's table: what is wrong, to check, finding and remedy."""
    table = HOW_TO.read_text().partition("## What the doctor says\n")[2]
    rows = [line.strip("| \n").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {wrong: [cell.strip("`") for cell in cells] for wrong, *cells in rows[1:]}


def as_written(check: Check, folder: Path) -> list[str]:
    return [said.replace(str(folder), WRITTEN_FOLDER) for said in (check.name, check.found, check.mend)]


@pytest.mark.parametrize("wrong", [*FAULTS, *NOTES])
def test_a_fault_is_said_as_the_how_to_has_it(folder: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    name, make = (FAULTS | NOTES)[wrong]
    make(folder, monkeypatch)
    (found,) = [check for check in doctor.examine(settings.load()) if check.name == name]
    assert found.ok == (wrong in NOTES)
    assert as_written(found, folder) == sentences()[wrong]


def test_an_unguarded_broker_is_said_as_the_how_to_has_it(folder: Path) -> None:
    found = exposure.broker(REDIS, REDIS)
    assert not found.ok
    assert as_written(found, folder) == sentences()["a Redis of another machine without password"]


def test_a_misspelt_setting_is_all_that_the_doctor_says(folder: Path) -> None:
    line = only_line(scleroscan(folder, "doctor", WORKER_DESTINATION="dicom://PACS@10.0.0.5:104"))
    assert ["(no table)", line] == sentences()["a misspelt setting"][:2]


def test_the_how_to_has_no_other_faults() -> None:
    assert set(sentences()) == {*FAULTS, *NOTES, "a Redis of another machine without password", "a misspelt setting"}
