"""Doctor and monitor say whether the object store takes what is due, and a setting that cannot be stops the start."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from compose import preflight, settings, store_check
from compose.errors import UnusableSetting
from compose.monitor.watch import Watch
from dicom_node.errors import BadSetting
from dicom_node.spool.folder import Spool
from dicom_node.store.trouble import StoreTrouble
from tests.support import databases

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site with a folder for its store."""
    monkeypatch.setenv("DICOM_NODE_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.setenv("WORKER_RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("DB_URL", databases.sqlite(tmp_path / "rows.db"))
    monkeypatch.setenv("DICOM_NODE_STORE_URL", f"file://{tmp_path / 'store'}/")
    Spool(tmp_path / "spool").prepare()
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def test_the_doctor_writes_reads_and_removes_an_object(store: Path) -> None:
    (found,) = store_check.store(settings.load())
    assert (found.ok, found.found) == (True, f"file://{store} takes an object, gives it back and removes it")
    assert list(store.iterdir()) == []
    store.rmdir()
    (found,) = store_check.store(settings.load())
    assert (found.ok, "is its share mounted" in found.found) == (False, True)
    assert "nothing is removed meanwhile" in found.mend


def test_what_the_scheduler_met_is_told_by_doctor_and_monitor(tmp_path: Path) -> None:
    site, trouble = settings.load(), StoreTrouble(tmp_path / "spool")
    trouble.note("store_conflict", "other bytes lie there", 3, NOW)
    trouble.note("store_conflict", "other bytes lie there", 2, NOW.replace(hour=9))
    (found,) = store_check.store(site)
    said = f"store_conflict since {NOW.isoformat()}: other bytes lie there (and 1 more)"
    assert (found.ok, found.found) == (False, said)
    assert store_parts(site) == [(False, said)]
    trouble.clear()
    assert store_parts(site) == [(True, "takes what is due")]


def store_parts(site: settings.SiteSettings) -> list[tuple[bool, str]]:
    return [(check.ok, check.found) for check in Watch(site)._look() if check.name == store_check.STORE]


def test_a_site_without_a_store_has_no_such_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DICOM_NODE_STORE_URL")
    site = settings.load()
    assert (store_check.store(site), store_parts(site)) == ([], [])


@pytest.mark.parametrize("url", ["archive", "s3:", "s3://key:secret@bucket/site", "s3://bucket/site?secret=1"])
def test_a_url_that_is_no_store_or_holds_a_login_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DICOM_NODE_STORE_URL", url)
    with pytest.raises(UnusableSetting, match="DICOM_NODE_STORE_URL=s3://bucket/prefix") as said:
        settings.load()
    assert "secret" not in str(said.value)


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("nosuch://bucket", None, "fsspec knows no nosuch://"),
        ("dropbox://folder", None, "needs a library"),
        ("memory://site", "no JSON", "is no JSON"),
        ("memory://site", "[]", "no JSON object"),
    ],
)
def test_a_store_that_cannot_be_used_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, options: str | None, words: str
) -> None:
    monkeypatch.setenv("DICOM_NODE_STORE_URL", url)
    if options is not None:
        (tmp_path / "options.json").write_text(options)
        monkeypatch.setenv("DICOM_NODE_STORE_OPTIONS", str(tmp_path / "options.json"))
    with pytest.raises(BadSetting, match=words):
        preflight.require_usable(settings.load())
