"""Which files rows name for images."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Instance


@dataclass(frozen=True)
class ImageFiles:
    """The names of a series' files: all that rows ever named, and those that are to be there still."""

    named: frozenset[str]
    kept: frozenset[str]


def series_with_images(session: Session) -> list[str]:
    """Return the UID of each series of which an image is to be there."""
    return list(session.scalars(select(Instance.series_uid).where(Instance.removed_at.is_(None)).distinct()))


def of_series(session: Session, series_uid: str) -> ImageFiles:
    """Return the files of one series."""
    rows = session.execute(select(Instance.path, Instance.removed_at).where(Instance.series_uid == series_uid)).all()
    named = {Path(path).name: removed_at for path, removed_at in rows}
    return ImageFiles(frozenset(named), frozenset(name for name, removed_at in named.items() if removed_at is None))
