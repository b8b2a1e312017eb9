"""Says when to look at which open series again, because a look at all of them at every tick would cost too much."""

import heapq
from collections.abc import Mapping, Set
from datetime import datetime, timedelta

LOOK_AGAIN = timedelta(seconds=1)
Looks = list[tuple[datetime, str]]


class Agenda:
    """The open series, each with the time of its next look.

    A series is due at once when it is new, when an image came, or when an association that carried it has ended;
    otherwise at the time that :meth:`look_again` was given.
    """

    def __init__(self) -> None:
        self._last_arrivals: dict[str, datetime] = {}
        self._carried: Set[str] = frozenset()
        self._next: dict[str, datetime] = {}
        self._looks: Looks = []

    def refresh(self, last_arrivals: Mapping[str, datetime], now: datetime) -> None:
        """Take over the list of open series with the time of the last image of each; changed ones become due."""
        for series_uid in self._last_arrivals.keys() - last_arrivals.keys():
            self._next.pop(series_uid, None)
        for series_uid, last_arrival_at in last_arrivals.items():
            if self._last_arrivals.get(series_uid) != last_arrival_at:
                self.look_again(series_uid, now)
        self._last_arrivals = dict(last_arrivals)

    def note_carried(self, carried: Set[str], now: datetime) -> None:
        """Take over the series that open associations carry; one that is carried no longer becomes due."""
        for series_uid in self._carried - carried:
            if series_uid in self._next:
                self.look_again(series_uid, now)
        self._carried = carried

    def is_carried(self, series_uid: str) -> bool:
        """Whether an open association carries a series."""
        return series_uid in self._carried

    def look_again(self, series_uid: str, at: datetime) -> None:
        """Set the time of the next look at a series, in place of an earlier one."""
        self._next[series_uid] = at
        heapq.heappush(self._looks, (at, series_uid))

    def look_at_all(self, now: datetime) -> None:
        """Make every open series due."""
        for series_uid in self._next:
            self.look_again(series_uid, now)

    def due(self, now: datetime) -> list[str]:
        """Return the series that are due, in order of time; each is due again in a second unless it is set anew."""
        taken: dict[str, None] = {}
        while self._looks and self._looks[0][0] <= now:
            at, series_uid = heapq.heappop(self._looks)
            # Only the time that was set last counts; earlier ones are still in the heap.
            if self._next.get(series_uid) == at:
                taken[series_uid] = None
        for series_uid in taken:
            self.look_again(series_uid, now + LOOK_AGAIN)
        return list(taken)

    def forget(self, series_uid: str) -> None:
        """Drop a series that was closed."""
        self._next.pop(series_uid, None)
        self._last_arrivals.pop(series_uid, None)
