"""What the doctor sees without asking any server."""

from pathlib import Path

from compose import doctor
from compose.settings import SiteSettings
from db.settings import DbSettings
from dicom_node.settings import NodeSettings
from worker.settings import WorkerSettings


def test_images_that_were_set_aside_are_counted_and_shown(tmp_path: Path) -> None:
    site = SiteSettings(DbSettings(), NodeSettings(spool_dir=tmp_path), WorkerSettings())
    assert doctor._set_aside(site).ok
    (tmp_path / "refused").mkdir()
    for name in ("1.dcm", "2.dcm"):
        (tmp_path / "refused" / name).write_bytes(b"unreadable")
    found = doctor._set_aside(site)
    assert (found.ok, found.found.split()[0]) == (False, "2")
