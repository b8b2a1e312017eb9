"""Rows that are older or newer than the spool are brought together with it."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db.tables import Instance
from dicom_node.scheduler.registrar import Registrar
from dicom_node.spool.folder import Spool
from tests.support import node_senders
from tests.support.command import run
from tests.support.node_senders import ct_slice, encoded

NOW = datetime(2026, 5, 6, tzinfo=UTC)


def keep(spool: Spool, series: int, numbers: range) -> None:
    for number in numbers:
        image = ct_slice(number, series)
        spool.keep(image.SOPInstanceUID, node_senders.header(image.SOPInstanceUID), encoded(image))


def paths(sessions: sessionmaker[Session]) -> list[Path]:
    with sessions.begin() as session:
        return sorted(Path(path) for path in session.scalars(select(Instance.path)))


def test_images_without_rows_are_registered_again(
    tmp_path: Path, database_url: str, sessions: sessionmaker[Session]
) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    keep(spool, 1, range(5))
    Registrar(spool, sessions).run(NOW)
    known = paths(sessions)
    # Series 2, and late images of series 1, were registered after the rows were saved.
    for path, series in ((known[0], 1), (known[4], 2)):
        later = path.parent.with_name(node_senders.series_uid(series)) / f"{node_senders.series_uid(series)}.9-abc.dcm"
        later.parent.mkdir(exist_ok=True)
        image = ct_slice(8, series)
        later.write_bytes(node_senders.header(image.SOPInstanceUID) + encoded(image))
    environ = {"DB_URL": database_url, "DICOM_NODE_SPOOL_DIR": str(spool.root)}
    said = run("recover", **environ)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == "2 images that no row names wait to be registered: a scheduler does so\n"
    assert Registrar(spool, sessions).run(NOW) == 2
    assert len(paths(sessions)) == 7
    assert all(path.is_file() for path in paths(sessions))
    assert run("recover", **environ).stdout.startswith("0 images")


def test_images_that_rows_name_and_nobody_has_are_told(
    tmp_path: Path, database_url: str, sessions: sessionmaker[Session]
) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    keep(spool, 1, range(5))
    Registrar(spool, sessions).run(NOW)
    gone, waits = paths(sessions)[:2]
    gone.unlink()
    # One that the copy of the spool has where it waited still.
    keep(spool, 1, range(1, 2))
    waits.unlink()
    said = run("recover", DB_URL=database_url, DICOM_NODE_SPOOL_DIR=str(spool.root))
    assert said.returncode == 1
    assert f"series {node_senders.series_uid(1)} lacks 1 images" in " ".join(said.stdout.split())
