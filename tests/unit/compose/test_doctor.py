"""What the doctor sees without asking any server."""

import os
import time
from pathlib import Path

import pytest

from compose import doctor
from compose.settings import SiteSettings
from db.settings import DbSettings
from dicom_node.settings import NodeSettings
from dicom_node.spool.folder import Spool, SpooledName
from worker.settings import WorkerSettings


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
        spool.refuse(spool.keep(SpooledName(f"1.{number}", "0" * 64), b"", b"x"), code)
    (tmp_path / "refused" / "of-an-earlier-version.dcm").touch()
    assert "nested_too_deep 1, truncated 2, unknown 1" in doctor._set_aside(site).found


@pytest.mark.parametrize(("age_s", "ok"), [(None, True), (1, True), (600, False)])
def test_an_image_that_waits_for_long_is_not_well(tmp_path: Path, age_s: float | None, ok: bool) -> None:
    site = SiteSettings(DbSettings(), NodeSettings(spool_dir=tmp_path), WorkerSettings())
    spool = Spool(tmp_path)
    spool.prepare()
    if age_s is not None:
        since = time.time() - age_s
        os.utime(spool.keep(SpooledName("1.2", "0" * 64), b"", b"x"), (since, since))
        spool.keep(SpooledName("1.3", "0" * 64), b"", b"x")
    found = doctor._waiting(site)
    assert found.ok == ok
    assert age_s is None or f"{age_s:.0f} s" in found.found
