"""When our certificates end, as the doctor says it for each destination that is shown one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from compose import certificates
from tests.integration.dicom_node.test_calls_by_tls import issued
from worker.settings import WorkerSettings

URL = "dicom+tls://PACS@127.0.0.1:104"
# Beyond 2049 a time is written in another way (RFC 5280 4.1.2.5).
ENDS = (datetime(2026, 12, 24, 12, 30, 15, tzinfo=UTC), datetime(2051, 2, 3, 4, 5, 6, tzinfo=UTC))


def certificate(path: Path, ends: datetime) -> Path:
    own = trustme.CA().issue_cert("127.0.0.1", not_after=ends)
    own.private_key_and_cert_chain_pem.write_to_path(path)
    return path


@pytest.mark.parametrize("ends", ENDS)
def test_the_end_of_a_certificate_is_read(tmp_path: Path, ends: datetime) -> None:
    assert certificates.end(certificate(tmp_path / "own.pem", ends)) == ends


def test_what_is_no_certificate_has_no_end(tmp_path: Path) -> None:
    for content in ("", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "a letter"):
        (tmp_path / "own.pem").write_text(content)
        with pytest.raises(ValueError, match="no certificate"):
            certificates.end(tmp_path / "own.pem")


@pytest.mark.parametrize(
    ("days", "ok", "found", "mend"),
    [
        (90, True, "in 90 days", ""),
        (12, True, "in 12 days", "renew it: tls_cert"),
        (-2, False, "ended on", "renew it: tls_cert"),
    ],
)
def test_a_near_end_is_a_note_and_a_past_one_a_fault(
    tmp_path: Path, days: int, ok: bool, found: str, mend: str
) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    own = certificate(tmp_path / "own.pem", now + timedelta(days=days, hours=1))
    check = certificates.about(URL, own, now)
    assert (check.name, check.ok) == (f"certificate for {URL}", ok)
    assert found in check.found
    assert check.mend.startswith(mend)
    assert bool(check.mend) == bool(mend)


def test_each_destination_with_tls_has_a_check(tmp_path: Path) -> None:
    own = issued(tmp_path / "own", trustme.CA())
    lines = f'tls_cert = "{own.certificate}"\ntls_key = "{own.key}"\n'
    (tmp_path / "site.toml").write_text(
        f'[[destination]]\nurl = "{URL}"\n{lines}[[destination]]\nurl = "https://a.example"\n'
        f'[[destination]]\nurl = "https://b.example"\n{lines}[[destination]]\nurl = "mllp+tls://h:1"\n{lines}'
    )
    settings = WorkerSettings(
        site_file=tmp_path / "site.toml",
        destinations=("dicom+tls://OTHER@h:104", "dicom://PLAIN@h:104"),
        tls_cert=tmp_path / "gone.pem",
    )
    found = {check.name.removeprefix("certificate for "): check for check in certificates.shown(settings)}
    assert list(found) == [URL, "https://b.example", "mllp+tls://h:1", "dicom+tls://OTHER@h:104"]
    assert [check.ok for check in found.values()] == [True, True, True, False]
    assert "gone.pem cannot be read (No such file or directory)" in found["dicom+tls://OTHER@h:104"].found
