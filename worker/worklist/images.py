"""Images of an item that are not here: whether and from where they are fetched, and how long they are awaited."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from db.tracking import HeldWork
from worker.worklist.item import Input
from worker.worklist_section import Worklist


class ImageSource(Protocol):
    """The archive that the site fetches images from."""

    def is_named(self, places: Sequence[str]) -> bool:
        """Whether it is one of the AE titles and URLs where images are said to lie."""

    def fetch(self, study_uid: str, series_uid: str) -> None:
        """Fetch a series into the spool. Raises PeerUnreachable where that fails."""


@dataclass(frozen=True)
class Patience:
    """What is done for images that are not here, and until when."""

    worklist: Worklist
    source: ImageSource | None

    def fetch(self, held: HeldWork, missing: Sequence[Input]) -> bool:
        """Fetch what is missing from the source, where an item names it; return whether anything was to be fetched.

        An address that an item names is compared, and never called. Raises PeerUnreachable where fetching fails.
        """
        if held.fetched_at is not None or self.source is None or not self.worklist.fetch:
            return False
        there = [one for one in missing if self.source.is_named(one.places)]
        for one in there:
            self.source.fetch(one.study_uid, one.series_uid)
        return bool(there)

    def is_over(self, since: datetime, now: datetime) -> bool:
        """Whether what may still change was awaited long enough."""
        return now >= self.until(since)

    def until(self, since: datetime) -> datetime:
        """Return how long something is awaited."""
        return since + timedelta(seconds=self.worklist.patience_s)
