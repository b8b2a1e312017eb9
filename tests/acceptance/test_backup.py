"""A site is backed up while it works, destroyed, and restored: by the commands of the how-to, taken out of the page."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.acceptance import site as sites
from tests.acceptance.site import Site
from tests.support import REPOSITORY, databases, node_senders, same_chest, services
from tests.support.same_chest import Chest

PAGE = (REPOSITORY / "docs" / "how-to" / "back-up-and-restore.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
MEASURED = ("delivered", "rejected", "failed", "review")


def blocks(heading: str) -> list[str]:
    """The commands below a heading of the page."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return BLOCK.findall(section)


def follow(commands: str, environ: Mapping[str, str]) -> str:
    """Run commands of the page as a person types them, and stop at the first that fails."""
    services.program("rsync")
    path = os.pathsep.join([str(Path(sys.executable).parent), *services.SYSTEM_FOLDERS])
    done = subprocess.run(
        ["sh", "-euc", commands], env={**environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def came(site: Site, study_uid: str) -> dict[str, object]:
    """When the archive took each object of a study."""
    return {
        one["sop_uid"]: site.archive.content("GET", f"/instances/{one['id']}/metadata/ReceptionDate")
        for one in site.archived(study_uid)
    }


def send_half(port: int, folder: Path, opened: object) -> None:
    for path in sorted(folder.glob("*.dcm"))[:20]:
        dataset = dcmread(path)
        assert node_senders.send(opened, node_senders.encoded(dataset), dataset.SOPInstanceUID) == 0  # type: ignore[arg-type]


@pytest.mark.timeout(600)
def test_a_site_lost_is_restored_by_the_page(
    tmp_path: Path, postgres_server: str, orthanc: services.Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each series has a study of its own: none waits for a better reconstruction.
    monkeypatch.setenv("DICOM_NODE_STUDY_WAIT_S", "0")
    names = ("delivered", "queued", "half", "between", "after")
    chest = Chest(tmp_path / "chest")
    ct = {name: chest.write(tmp_path / "ct" / name, number) for number, name in enumerate(names)}
    series = {name: same_chest.series_uid(number) for number, name in enumerate(names)}
    studies = {name: same_chest.study_uid(number) for number, name in enumerate(names)}
    url, home, backup = databases.empty_postgres(postgres_server), tmp_path / "site", tmp_path / "backup"
    home.mkdir()
    plain = url.replace("+psycopg", "")

    with services.redis_server(home) as broker, sites.running(home, plain, broker, orthanc) as site:
        environ = site.environ | {"BACKUP": str(backup)}
        site.send(ct["delivered"])
        assert site.wait_for(series["delivered"], *MEASURED).state == "delivered"
        taken = came(site, studies["delivered"])
        services.wait_until((home / "spool" / "anchors.jsonl").exists, what="the first anchor")
        site.signal("analyse", signal.SIGSTOP)
        site.send(ct["queued"])
        site.wait_for(series["queued"], "queued")
        with node_senders.association(site.port) as opened:
            send_half(site.port, ct["half"], opened)
            services.wait_until(lambda: not any((home / "spool" / "new").iterdir()), what="rows of all that came")
            site.wait_for(series["half"], "receiving")
            follow(blocks("Back up the rows")[0], environ)
            site.send(ct["between"])
            site.wait_for(series["between"], "queued")
            follow(blocks("Back up the files")[0], environ)
        site.send(ct["after"])
        site.wait_for(series["after"], "queued")
        site.signal("analyse", signal.SIGCONT)
        site.wait_for(series["queued"], "delivered")

    for folder in ("spool", "results"):
        shutil.rmtree(home / folder)
    databases.drop_postgres(url)
    assert databases.empty_postgres(postgres_server, url.rpartition("/")[2]) == url
    said = follow(blocks("Restore")[0], environ)
    assert f"{chest.slices} images that no row names wait to be registered" in said
    assert "rows and files are as they were written" in said

    (home / "site.log").unlink()
    with services.redis_server(home) as broker, sites.running(home, plain, broker, orthanc) as site:
        for name in ("queued", "between"):
            assert site.wait_for(series[name], *MEASURED).state == "delivered", name
        half = site.wait_for(series["half"], "incomplete", *MEASURED)
        assert (half.state, half.code) == ("incomplete", "association_broken_off")
        site.send(ct["half"])
        assert site.wait_for(series["half"], *MEASURED).state == "delivered"
        for name in ("delivered", "queued", "between", "half"):
            assert sorted(one["modality"] for one in site.archived(studies[name])) == ["OT", "SEG", "SEG", "SR"], name
        assert came(site, studies["delivered"]) == taken
        lost = subprocess.run(
            [sys.executable, "-m", "scleroscan", "status", series["after"]],
            env=site.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (lost.returncode, lost.stdout) == (1, "")
        follow("scleroscan audit verify", site.environ)
    with suppress(OSError):
        databases.drop_postgres(url)


def test_rows_of_sqlite_are_saved_while_they_are_written(tmp_path: Path) -> None:
    services.program("sqlite3")
    rows, backup = tmp_path / "rows.db", tmp_path / "backup"
    backup.mkdir()
    environ = {
        "DB_URL": databases.sqlite(rows),
        "ROWS": str(rows),
        "BACKUP": str(backup),
        "DICOM_NODE_SPOOL_DIR": str(tmp_path / "spool"),
    }
    save, restore = blocks("SQLite")
    follow(save, environ)
    rows.write_bytes(b"damaged")
    rows.with_name("rows.db-wal").write_bytes(b"of the damaged file")
    follow(restore, environ)
    assert "0 series" in follow("scleroscan audit verify", environ)
