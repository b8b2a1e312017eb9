"""What the doctor sees without asking any server."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from compose import doctor
from compose.settings import SiteSettings
from db.settings import DbSettings
from dicom_node.settings import NodeSettings
from dicom_node.spool.folder import Spool
from worker.settings import WorkerSettings


def site(worker: dict[str, Any] | None = None, **node: Any) -> SiteSettings:
    return SiteSettings(DbSettings(), NodeSettings(**node), WorkerSettings(**(worker or {})))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (site({"destinations": ("dicom://SCLEROSCAN@127.0.0.1:11112",)}), "our own listener"),
        (site(min_free_mb=4096, low_free_mb=2048), "DICOM_NODE_LOW_FREE_MB"),
        (site({"delivery_retry_s": 60, "delivery_retry_max_s": 30}), "WORKER_DELIVERY_RETRY_MAX_S"),
    ],
)
def test_settings_that_contradict_each_other_are_named(given: SiteSettings, named: str) -> None:
    found = doctor._contradictions(given)
    assert not found.ok
    assert named in found.found


def test_the_defaults_contradict_nothing() -> None:
    assert doctor._contradictions(site()).ok


def test_images_that_were_set_aside_are_counted_and_shown(tmp_path: Path) -> None:
    site = SiteSettings(DbSettings(), NodeSettings(spool_dir=tmp_path), WorkerSettings())
    assert doctor._set_aside(site).ok
    (tmp_path / "refused").mkdir()
    for name in ("1.dcm", "2.dcm"):
        (tmp_path / "refused" / name).write_bytes(b"unreadable")
    found = doctor._set_aside(site)
    assert (found.ok, found.found.split()[0]) == (False, "2")


def test_images_set_aside_are_counted_by_their_codes(tmp_path: Path) -> None:
    site = SiteSettings(DbSettings(), NodeSettings(spool_dir=tmp_path), WorkerSettings())
    spool = Spool(tmp_path)
    spool.prepare()
    for number in range(3):
        code = "truncated" if number else "nested_too_deep"
        spool.refuse(spool.keep(f"1.{number}", b"", b"x"), code)
    (tmp_path / "refused" / "of-an-earlier-version.dcm").touch()
    assert "nested_too_deep 1, truncated 2, unknown 1" in doctor._set_aside(site).found


@pytest.mark.parametrize(("age_s", "ok"), [(None, True), (1, True), (600, False)])
def test_an_image_that_waits_for_long_is_not_well(tmp_path: Path, age_s: float | None, ok: bool) -> None:
    site = SiteSettings(DbSettings(), NodeSettings(spool_dir=tmp_path), WorkerSettings())
    spool = Spool(tmp_path)
    spool.prepare()
    if age_s is not None:
        since = time.time() - age_s
        os.utime(spool.keep("1.2", b"", b"x"), (since, since))
        spool.keep("1.3", b"", b"x")
    found = doctor._waiting(site)
    assert found.ok == ok
    assert age_s is None or f"{age_s:.0f} s" in found.found
