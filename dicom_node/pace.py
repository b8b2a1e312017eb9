"""Cuts off a peer that sends too slowly: one byte now and then would otherwise hold a connection for ever."""


class TooSlow(Exception):
    """The peer sends more slowly than the least rate."""


class Pace:
    """Measures how much comes while we wait for a peer; our own work, on a slow disk, counts against nobody.

    Parameters
    ----------
    least_bytes_per_s
        The least rate; 0 switches it off.
    window_s
        The rate is judged anew after so many seconds of waiting, so that a link may pause.
    """

    def __init__(self, least_bytes_per_s: int, window_s: float) -> None:
        self._least = least_bytes_per_s * window_s
        self._window_s = window_s
        self._came, self._waited_s = 0, 0.0

    def came(self, count: int, waited_s: float) -> None:
        """Note that ``count`` bytes came after a wait. Raises TooSlow."""
        self._came += count
        self._waited_s += waited_s
        if self._waited_s < self._window_s:
            return
        if self._came < self._least:
            raise TooSlow("the peer sends more slowly than the least rate")
        self._came, self._waited_s = 0, 0.0
