"""What the doctor says of senders, TLS and source."""

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from compose import doctor, exposure, settings
from compose.check import Check
from db import tracking
from db.engine import open_database
from dicom_node.scp.listener import Address, Listener, Security
from dicom_node.scp.tls import server_context
from dicom_node.site_file import EVERYWHERE
from tests.integration.db.test_tracking import ARRIVAL
from tests.integration.dicom_node.test_calls_by_tls import issued
from tests.support import databases, services, site_rows


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_NODE_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.setenv("DB_URL", f"sqlite:///{tmp_path / 'rows.db'}")


def checks() -> dict[str, Check]:
    return {check.name: check for check in doctor.examine(settings.load())}


def test_an_open_site_is_told_that_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_NODE_OPEN", "true")
    found = checks()
    assert [found[name].ok for name in ("senders", "TLS", "source")] == [False, True, True]
    assert "whoever calls" in found["senders"].found
    assert "in the clear" in found["TLS"].found


def test_half_tls_a_bad_site_file_and_a_silent_source_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site.toml").write_text("[[peer]]\nae_titel = 'CT1'\n")
    monkeypatch.setenv("DICOM_NODE_SITE_FILE", str(tmp_path / "site.toml"))
    monkeypatch.setenv("DICOM_NODE_TLS_CERT", str(tmp_path / "none.pem"))
    monkeypatch.setenv("DICOM_NODE_SOURCE", f"dicom://PACS@127.0.0.1:{services.free_port()}")
    found = checks()
    assert not any(found[name].ok for name in ("senders", "TLS", "source"))
    assert "ae_titel" in found["senders"].found
    assert "all three" in found["TLS"].found


def test_a_source_that_answers_is_well(orthanc: services.Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    for source in (orthanc.destination, orthanc.dicom_web):
        monkeypatch.setenv("DICOM_NODE_SOURCE", source)
        assert checks()["source"].ok


def test_how_long_the_disk_lasts_is_told(tmp_path: Path) -> None:
    assert "unknown" in checks()["growth"].found
    url = databases.sqlite(tmp_path / "rows.db")
    assert checks()["growth"].found == "unknown until a day of receiving has passed"
    long_ago = datetime.now(UTC) - timedelta(days=2)
    with open_database(url).begin() as session:
        # More than any disk has, so that it is full today.
        arrival = replace(ARRIVAL, received_at=long_ago, size_bytes=10**16)
        tracking.register(session, [arrival], long_ago)
    growth = checks()["growth"]
    assert not growth.ok
    assert "rejected in 0 days" in growth.found
    assert "DICOM_NODE_RETENTION_DAYS" in growth.mend


LISTED = "[[peer]]\nae_title = 'CT1'\n"


def test_by_default_only_this_machine_may_send() -> None:
    found = checks()["senders"]
    assert (found.ok, "this machine alone" in found.found) == (True, True)
    assert "DICOM_NODE_SITE_FILE" in found.mend


@pytest.mark.parametrize(
    "given", [("DICOM_NODE_OPEN", "true"), ("DICOM_NODE_HOST", EVERYWHERE), ("DICOM_NODE_HOST", "::")]
)
def test_a_site_open_to_anybody_has_a_cross(monkeypatch: pytest.MonkeyPatch, given: tuple[str, str]) -> None:
    monkeypatch.setenv(*given)
    found = checks()["senders"]
    assert (found.ok, found.found[:5]) == (False, "OPEN:")


def test_a_site_with_peers_listens_on_every_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site.toml").write_text(LISTED)
    monkeypatch.setenv("DICOM_NODE_SITE_FILE", str(tmp_path / "site.toml"))
    found = checks()["senders"]
    assert (found.ok, "1 known peer(s), at 0.0.0.0" in found.found, found.mend) == (True, True, "")


def test_no_destination_is_a_note_and_no_fault() -> None:
    found = checks()["settings"]
    assert found.ok
    assert "WORKER_DESTINATIONS" in found.mend


@pytest.mark.parametrize("loose", ["rows.db", "spool", "results"])
def test_what_others_can_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loose: str) -> None:
    monkeypatch.setenv("WORKER_RESULTS_DIR", str(tmp_path / "results"))
    databases.sqlite(tmp_path / "rows.db")
    for name in ("spool", "results"):
        (tmp_path / name).mkdir(mode=0o700)
    assert checks()["permissions"].ok
    (tmp_path / loose).chmod(0o755)
    found = checks()["permissions"]
    assert not found.ok
    assert found.mend == f"chmod -R go-rwx {tmp_path / loose}"


@pytest.mark.parametrize(
    ("url", "ok", "noted"),
    [
        ("redis://redis.example:6379/0", False, True),
        ("redis://:s3cret@redis.example:6379/0", True, True),
        ("rediss://:s3cret@redis.example:6379/0?ssl_cert_reqs=required", True, False),
        ("redis://127.0.0.1:6379/0", True, True),
        ("redis+socket:///run/redis.sock", True, False),
    ],
)
def test_a_broker_without_password_on_the_network_is_a_fault(url: str, ok: bool, noted: bool) -> None:
    found = exposure.broker(url, "shown")
    assert (found.ok, bool(found.mend)) == (ok, noted)


def test_parts_that_do_not_run_are_a_fault_and_then_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checks()["parts"]
    assert not found.ok
    assert found.found == "running here: none; not running here: listener, scheduler, analyse, deliver, monitor"
    for name in ("DICOM_NODE_PORT", "MONITOR_PORT"):
        monkeypatch.setenv(name, str(services.free_port()))
    with services.running([sys.executable, "-m", "scleroscan", "up"], tmp_path / "log", env=os.environ):
        services.wait_until(lambda: checks()["parts"].ok, what="all parts")
    assert "running here: none" in checks()["parts"].found


def test_doctor_shows_values_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_NODE_WEB_TOKEN", "s3cret-s3cret-s3cret")
    monkeypatch.setenv("DICOM_NODE_QUIET_S", "31")
    values = settings.setting_values(settings.load())
    assert (values["DICOM_NODE_QUIET_S"], values["DICOM_NODE_WEB_TOKEN"]) == ("31.0", "**********")
    assert values["DB_URL"] == os.environ["DB_URL"]
    assert set(values) == set(settings.setting_names()) - set(settings.OWN)


def test_anchors_that_were_changed_are_a_fault(tmp_path: Path) -> None:
    databases.sqlite(tmp_path / "rows.db")
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "anchors.jsonl").write_text('{"at":"2026-01-05T08:00:00+00:00","heads":{},"previous":"x"}\n')
    found = checks()["anchors"]
    assert not found.ok
    assert "lines were changed" in found.found
    assert "audit verify --anchors" in found.mend


def test_a_site_at_rest_needs_no_new_anchor(tmp_path: Path) -> None:
    sessions, long_ago = open_database(databases.sqlite(tmp_path / "rows.db")), datetime.now(UTC) - timedelta(days=9)
    assert checks()["anchors"].found == "no event yet to be anchored"
    with sessions.begin() as session:
        tracking.register(session, [ARRIVAL], long_ago)
        tracking.anchor(session, tmp_path / "spool" / "anchors.jsonl", long_ago)
    found = checks()["anchors"]
    assert (found.ok, found.mend) == (True, "")
    assert found.found == "every event is anchored, the last 216.0 h ago"


def test_a_dead_letter_that_was_laid_to_rest_is_none(tmp_path: Path) -> None:
    sessions = open_database(databases.sqlite(tmp_path / "rows.db"))
    site_rows.fill(sessions)
    stopped = site_rows.refuse_waiting(sessions)
    assert checks()["dead letters"].found.startswith("1 object(s)")
    with sessions.begin() as session:
        tracking.discard(session, stopped, "operator:anna", datetime.now(UTC))
    assert checks()["dead letters"].ok


def marks() -> dict[str, str]:
    """The mark of each check: well, a note, or a fault."""
    return {name: "✗" if not one.ok else "!" if one.mend else "✓" for name, one in checks().items()}


def test_what_is_said_of_the_default_settings_before_the_start() -> None:
    assert marks() == {
        "settings": "!",
        "sense": "✓",
        "parts": "✗",
        "database": "✗",
        "broker": "✓",
        "disk": "✓",
        "growth": "✓",
        "waiting": "✓",
        "set aside": "✓",
        "dead letters": "✓",
        "anchors": "✓",
        "weights": "✓",
        "senders": "!",
        "TLS": "!",
        "permissions": "✓",
        "source": "✓",
    }


def test_a_hardened_site_is_well_but_for_what_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = issued(tmp_path / "own", trustme.CA())
    files.key.chmod(0o600)
    (tmp_path / "site.toml").write_text("[[peer]]\nae_title = 'CT1'\naddresses = ['10.1.2.0/24']\n")
    monkeypatch.setenv("DICOM_NODE_SITE_FILE", str(tmp_path / "site.toml"))
    for name, path in zip(("CERT", "KEY", "CLIENT_CA"), (files.certificate, files.key, files.authority), strict=True):
        monkeypatch.setenv(f"DICOM_NODE_TLS_{name}", str(path))
    for name, path in zip(("CERT", "KEY", "CA"), (files.certificate, files.key, files.authority), strict=True):
        monkeypatch.setenv(f"WORKER_TLS_{name}", str(path))
    databases.sqlite(tmp_path / "rows.db")
    security = Security(tls=server_context(files.certificate, files.key, files.authority))
    with Listener(Address("PACS", "127.0.0.1", 0), [], [], security) as archive:
        monkeypatch.setenv("WORKER_DESTINATIONS", f"dicom+tls://PACS@127.0.0.1:{archive.port}")
        assert [name for name, mark in marks().items() if mark != "✓"] == ["parts"]


def test_a_key_that_others_can_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key.pem").touch(mode=0o644)
    monkeypatch.setenv("DICOM_NODE_TLS_KEY", str(tmp_path / "key.pem"))
    found = checks()
    assert "key.pem" in found["permissions"].found
    assert not found["TLS"].ok


def test_a_secure_destination_without_our_certificate_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_DESTINATIONS", "dicom+tls://PACS@127.0.0.1:104")
    found = checks()["C-ECHO dicom+tls://PACS@127.0.0.1:104"]
    assert not found.ok
    assert "WORKER_TLS_CERT" in found.mend
