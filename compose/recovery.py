"""The command after a restore: rows and spool of different moments are brought together, and what is lost is named."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import typer
from sqlalchemy.orm import Session

from compose import settings
from compose.screen import say
from db import image_files, schema
from dicom_node.errors import UNPARSEABLE, ReceiveError
from dicom_node.spool import part10
from dicom_node.spool.folder import Spool, SpooledName


@dataclass(frozen=True)
class Recovered:
    """How many images wait again, and how many each series lacks."""

    images: int
    missing: dict[str, int]


def recover() -> None:
    """Let images of the spool that no row names be registered again, and name the series whose images are missing.

    For a site restored from a backup. It changes no row and may run again at any time. Ends with status 1 where
    images are missing.
    """
    site = settings.load()
    spool = Spool(site.node.spool_dir)
    spool.prepare()
    sessions = schema.open_current(site.db_url)
    with sessions.begin() as session:
        found = bring_together(session, spool)
    sessions.kw["bind"].dispose()
    say(f"{found.images} images that no row names wait to be registered: a scheduler does so")
    for line in _missing_lines(found):
        say(line)
    if found.missing:
        raise typer.Exit(1)


def bring_together(session: Session, spool: Spool) -> Recovered:
    """Move each file that no row names back among those that wait, and count those that rows name and nobody has."""
    waiting = set(_names_to_be(spool))
    # Files before rows: a registrar at work commits a row before it moves the file.
    there = {uid: spool.settled(uid) for uid in spool.settled_series()}
    images, missing = 0, {}
    for uid in sorted({*there, *image_files.series_with_images(session)}):
        known, files = image_files.of_series(session, uid), there.get(uid, [])
        unknown = [path for path in files if path.name not in known.named]
        for path in unknown:
            spool.unsettle(path)
        images += len(unknown)
        if lacking := known.kept - {path.name for path in files} - waiting:
            missing[uid] = len(lacking)
    return Recovered(images, missing)


def _names_to_be(spool: Spool) -> Iterator[str]:
    """Yield the names that the waiting images will have below their series."""
    for path in spool.waiting():
        # One that cannot be read will be set aside, one that is gone has been registered meanwhile.
        with suppress(ReceiveError, *UNPARSEABLE, FileNotFoundError):
            found = part10.read_file(path)
            yield SpooledName.of_file(found.identity().sop_uid, path, found.start).filename


def _missing_lines(found: Recovered) -> Iterator[str]:
    for uid, count in found.missing.items():
        yield f"series {uid} lacks {count} images that its rows name: send it again, or scleroscan pull its study"
