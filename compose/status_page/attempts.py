"""Bounds how often passwords are tried, by account and by address."""

import time
from collections import defaultdict, deque
from collections.abc import Callable

WINDOW_S = 300.0
OF_A_NAME, OF_AN_ADDRESS = 5, 30
MOST_KEYS = 10_000


class Attempts:
    """The failed logins of the last minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[tuple[str, str], deque[float]] = defaultdict(deque)

    def wait_s(self, name: str, address: str) -> float:
        """Return for how many seconds this name, or whoever calls from this address, may not try; 0: now."""
        limits = ((("name", name), OF_A_NAME), (("address", address), OF_AN_ADDRESS))
        return max(self._wait_of(key, most) for key, most in limits)

    def failed(self, name: str, address: str) -> None:
        """Note a try before it is made, as one that failed: many at once are many."""
        now = self._clock()
        if len(self._failed) > MOST_KEYS:
            self._forget_the_old(now)
        for key in (("name", name), ("address", address)):
            self._failed[key].append(now)

    def succeeded(self, name: str, address: str) -> None:
        """Forget the wrong passwords of a name, and that this try failed."""
        self._failed.pop(("name", name), None)
        # Empty where comparing took so long that the try was forgotten.
        if tries := self._failed.get(("address", address)):
            tries.pop()

    def _wait_of(self, key: tuple[str, str], most: int) -> float:
        times = self._failed.get(key, deque())
        while times and self._clock() - times[0] > WINDOW_S:
            times.popleft()
        return WINDOW_S - (self._clock() - times[-most]) if len(times) >= most else 0.0

    def _forget_the_old(self, now: float) -> None:
        for key in [key for key, times in self._failed.items() if not times or now - times[-1] > WINDOW_S]:
            del self._failed[key]
