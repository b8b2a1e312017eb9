"""Asks the source how many images a series should have: seldom, and not while the source does not answer."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from db.tracking import ReceivingSeries
from dicom_node.errors import PeerAway
from dicom_node.retrieve.source import Source

ASK_AGAIN = timedelta(seconds=15)
LEAVE_ALONE = timedelta(seconds=60)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Answer:
    number: int | None
    asked_at: datetime
    last_arrival_at: datetime


class Expectations:
    """The number of images that the source holds, for each open series.

    A number counts only if it was asked for after the last image came. A source that does not answer is not asked
    again for a minute; meanwhile series are judged without this evidence.
    """

    def __init__(self, source: Source | None) -> None:
        self._source = source
        self._answers: dict[str, _Answer] = {}
        self._silent_until: datetime | None = None

    def number_of(self, series: ReceivingSeries, now: datetime) -> int | None:
        """Return how many instances the source holds of a series; None where it did not say so."""
        known = self._answers.get(series.series_uid)
        fresh = known is not None and known.last_arrival_at == series.last_arrival_at
        if known is not None and fresh and now - known.asked_at < ASK_AGAIN:
            return known.number
        if self._source is None or (self._silent_until is not None and now < self._silent_until):
            return known.number if known is not None and fresh else None
        number = self._ask(self._source, series, now)
        self._answers[series.series_uid] = _Answer(number, now, series.last_arrival_at)
        return number

    @property
    def ask_again(self) -> timedelta:
        """How long until the source is asked again; a day where there is no source to ask."""
        return ASK_AGAIN if self._source is not None else timedelta(days=1)

    def forget(self, series_uid: str) -> None:
        """Drop the number of a series that was closed."""
        self._answers.pop(series_uid, None)

    def _ask(self, source: Source, series: ReceivingSeries, now: datetime) -> int | None:
        try:
            number = source.number_of_instances(series.study_uid, series.series_uid)
        except PeerAway as error:
            logger.warning("the source does not answer, series are judged without it", extra={"reason": str(error)})
            self._silent_until = now + LEAVE_ALONE
            return None
        self._silent_until = None
        return number
