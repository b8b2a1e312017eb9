"""When to look at which open series again: a look costs something, and most of the time nothing has changed."""

import heapq
from collections.abc import Mapping, Set
from datetime import datetime, timedelta

LOOK_AGAIN = timedelta(seconds=1)
Looks = list[tuple[datetime, str]]


class Agenda:
    """The open series, each with the time of its next look.

    A series is due at once when it is new, when an image came, or when an association that carried it has ended; else
    when it was said to be.
    """

    def __init__(self) -> None:
        self._last_arrivals: dict[str, datetime] = {}
        self._carried: Set[str] = frozenset()
        self._next: dict[str, datetime] = {}
        self._looks: Looks = []

    def refresh(self, last_arrivals: Mapping[str, datetime], now: datetime) -> None:
        """Take over which series are open, and when the last image of each came."""
        for series_uid in self._last_arrivals.keys() - last_arrivals.keys():
            self._next.pop(series_uid, None)
        for series_uid, last_arrival_at in last_arrivals.items():
            if self._last_arrivals.get(series_uid) != last_arrival_at:
                self.look_again(series_uid, now)
        self._last_arrivals = dict(last_arrivals)

    def note_carried(self, carried: Set[str], now: datetime) -> None:
        """Take over which series are carried by open associations."""
        for series_uid in self._carried - carried:
            if series_uid in self._next:
                self.look_again(series_uid, now)
        self._carried = carried

    def is_carried(self, series_uid: str) -> bool:
        """Whether an open association carries a series."""
        return series_uid in self._carried

    def look_again(self, series_uid: str, at: datetime) -> None:
        """Let a series be due at a time, whatever was said before."""
        self._next[series_uid] = at
        heapq.heappush(self._looks, (at, series_uid))

    def look_at_all(self, now: datetime) -> None:
        """Let every open series be due."""
        for series_uid in self._next:
            self.look_again(series_uid, now)

    def due(self, now: datetime) -> list[str]:
        """Return what is due, in the order of its times; each is due again soon, unless another time is said."""
        taken: dict[str, None] = {}
        while self._looks and self._looks[0][0] <= now:
            at, series_uid = heapq.heappop(self._looks)
            # Only the latest word counts; what was said before is still in the heap.
            if self._next.get(series_uid) == at:
                taken[series_uid] = None
        for series_uid in taken:
            self.look_again(series_uid, now + LOOK_AGAIN)
        return list(taken)

    def forget(self, series_uid: str) -> None:
        """Drop a series that was closed."""
        self._next.pop(series_uid, None)
        self._last_arrivals.pop(series_uid, None)
