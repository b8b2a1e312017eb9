"""The command from outside: what it says where it cannot do what it was asked."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from db import tracking
from db.engine import open_database
from tests.integration.db.test_operators import in_review
from tests.integration.db.test_tracking import IDENTITY, NOW, images
from tests.support import REPOSITORY, databases, services
from tests.support.command import Said, run
from tests.support.ct import TinyCT
from tests.support.delivered import deliver
from worker.identity import SOFTWARE_VERSION

# A part of a site sets up logs and signals; a warning, as of odd characters, is an error here alone; and modes and the
# start are asked of the real thing.
IN_A_PROCESS = {"up", "listen", "web", "monitor", "status-page", "route", "db", "--version"}


def scleroscan(folder: Path, *words: str, **environ: str) -> Said:
    """Run the command on a site of its own, in a terminal of 80 columns as every pipe has them."""
    own = {
        "DB_URL": f"sqlite:///{folder / 'site' / 'rows.db'}",
        "DICOM_NODE_SPOOL_DIR": str(folder / "spool"),
        "WORKER_RESULTS_DIR": str(folder / "results"),
        "DICOM_NODE_PORT": str(services.free_port()),
        "DICOM_NODE_HOST": "127.0.0.1",
        "MONITOR_PORT": str(services.free_port()),
    }
    if words[0] not in IN_A_PROCESS:
        return run(*words, **own | environ)
    command = [sys.executable, "-m", "scleroscan", *words]
    said = subprocess.run(
        command, env=os.environ | own | environ, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    return Said(said.returncode, said.stdout, said.stderr)


def only_line(said: Said) -> str:
    """Return the one line that a refused command says on standard error."""
    assert (said.returncode, said.stdout) == (1, ""), said.stderr
    (line,) = said.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("doctor", "WORKER_DESTINATIONS", "A@h:1"),
        ("up", "DICOM_NODE_PORT", "abc"),
        ("status", "DB_URL", "postgresql://me:p@ss/word@db.example/scleroscan"),
        ("status", "DB_URL", "postgresql://me:p@a:b/c@db.example/scleroscan"),
        ("status", "WORKER_DESTINATIONS", "[1]"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(tmp_path: Path, word: str, name: str, value: str) -> None:
    line = only_line(scleroscan(tmp_path, word, **{name: value}))
    assert line.startswith(f"{name}: ")
    assert f"{name}=" in line
    assert "Input should" not in line


def test_signs_of_a_password_are_said_how_to_write() -> None:
    said = run("status", DB_URL="postgresql://me:p@a:b/c@db.example/scleroscan")
    assert "in a password @ is written %40, : %3A, / %2F and % %25" in said.stderr


def test_a_slip_in_the_site_file_is_told_in_our_words(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[[peer]]\nae_title = 5\n[[routing.rule]]\nname = "x"\naction = "drop"\n')
    said = run("route", str(tmp_path), DICOM_NODE_SITE_FILE=str(site))
    assert "peer.0.ae_title: 5 is no text" in said.stderr
    assert "routing.rule.0.action: drop is none of 'analyse' or 'skip'" in said.stderr


def test_up_starts_no_part_where_the_site_file_has_a_slip(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("[[peer]]\nae_titel = 'CT1'\n")
    line = only_line(scleroscan(tmp_path, "up", DICOM_NODE_SITE_FILE=str(tmp_path / "site.toml")))
    assert "ae_titel" in line
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("words", [("status",), ("retry", "1")])
def test_before_the_first_start_it_is_said_what_to_do(tmp_path: Path, words: tuple[str, ...]) -> None:
    line = only_line(scleroscan(tmp_path, *words))
    assert "no tables yet" in line
    assert "scleroscan up" in line
    assert not (tmp_path / "site").exists()


def test_retry_names_what_may_be_done_with_a_reviewed_job(tmp_path: Path) -> None:
    url = databases.sqlite(tmp_path / "rows.db")
    sessions = open_database(url)
    job_id = in_review(sessions)
    sessions.kw["bind"].dispose()
    line = only_line(scleroscan(tmp_path, "retry", str(job_id), DB_URL=url))
    assert line.startswith(f"job {job_id} is review: release, discard or recompute it")
    archive = {"DB_URL": url, "WORKER_DESTINATIONS": "dicom://PACS@127.0.0.1:104"}
    said = scleroscan(tmp_path, "release", str(job_id), **archive)
    assert said.stdout == f"job {job_id} is released, 2 objects are to be sent\n"


def test_a_database_that_is_away_is_one_line(tmp_path: Path) -> None:
    port = services.free_port()
    line = only_line(scleroscan(tmp_path, "status", DB_URL=f"postgresql://me:s3cret@127.0.0.1:{port}/rows"))
    assert "does not answer" in line
    assert "scleroscan doctor" in line
    assert "s3cret" not in line


def test_a_receiver_that_is_no_address_is_one_line(tmp_path: Path) -> None:
    assert "AET@host:port" in only_line(scleroscan(tmp_path, "send", str(tmp_path), "PACS"))


HOSTILE = "[/]\x1b]8;;https://evil.example\x1b\\\\"


def test_a_hostile_kernel_or_patient_ends_no_command(tmp_path: Path) -> None:
    said = TinyCT(changes={"ConvolutionKernel": "[/]", "SeriesDescription": "[/bold]\x1b[2J"}).write(tmp_path / "ct")
    assert scleroscan(tmp_path, "route", str(said[0].parent)).returncode == 0
    url = databases.sqlite(tmp_path / "rows.db")
    sessions = open_database(url)
    with sessions.begin() as session:
        tracking.register(session, images(3, patient_id=HOSTILE, series_description=HOSTILE), NOW)
        tracking.close_series(session, "1.2.3", "complete", "contiguous", {}, NOW)
        tracking.open_job(session, "1.2.3", IDENTITY, NOW)
    deliver(sessions, "1.2.3", NOW)
    with sessions.begin() as session:
        stranger = replace(images(4)[3], patient_id="[/]\x1b[31m")
        tracking.register(session, [stranger], NOW)
    sessions.kw["bind"].dispose()
    for words in (("audit",), ("audit", "1.2.3"), ("status",)):
        shown = scleroscan(tmp_path, *words, DB_URL=url)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "\x1b" not in shown.stdout


def test_the_version_is_told(tmp_path: Path) -> None:
    said = scleroscan(tmp_path, "--version")
    assert (said.returncode, said.stdout) == (0, f"scleroscan {SOFTWARE_VERSION}\n")


def test_whatever_a_command_writes_is_its_owners_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'site' / 'below' / 'rows.db'}"
    assert scleroscan(tmp_path, "db", "upgrade", DB_URL=url).returncode == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "site").rglob("*")}
    assert modes == {"below": 0o700, "rows.db": 0o600}
    assert (tmp_path / "site").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("words", [("doctor",), ("doctor", "--json"), ("pull", "1.2.3")])
def test_no_command_shows_the_secret_of_a_url(tmp_path: Path, words: tuple[str, ...]) -> None:
    port = services.free_port()
    urls = {
        "DICOM_NODE_SOURCE": f"http://me:s3cret@127.0.0.1:{port}/dicom-web?token=s3cret",
        "WORKER_BROKER_URL": f"redis://:s3cret@127.0.0.1:{port}/0",
    }
    said = scleroscan(tmp_path, *words, **urls)
    assert said.returncode == 1
    assert "s3cret" not in said.stdout + said.stderr
