"""Tells people what troubles a site: once where it begins, and once where it is over."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event

from compose.errors import NotTold
from compose.monitor.channels import Channel
from compose.monitor.notices import Notice, What
from compose.monitor.troubles import Trouble

logger = logging.getLogger(__name__)
EVERY_S = 5.0
# A channel that fails is tried again after so long, at most.
LONGEST_PAUSE_S = 900.0


@dataclass
class _Way:
    """A channel, what was told there and is not over, and when it may be tried again."""

    channel: Channel
    told: dict[str, Trouble] = field(default_factory=dict)
    pause_s: float = EVERY_S
    not_before: float = 0.0


class Notifier:
    """Watches troubles, and tells of each that lasts.

    Parameters
    ----------
    site
        How messages name the site.
    troubles
        Returns the troubles of now.
    channels
        The ways to tell people. One that fails delays no other, and forgets nothing.
    after_s
        A trouble is told once it has lasted so long, and called over once it has been away so long: a part that is
        started again wakes nobody.
    """

    def __init__(
        self,
        site: str,
        troubles: Callable[[], list[Trouble]],
        channels: Sequence[Channel],
        after_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._site, self._troubles, self._after_s, self._clock = site, troubles, after_s, clock
        self._ways = [_Way(channel) for channel in channels]
        self._seen: dict[str, tuple[Trouble, float]] = {}
        self._lasting: dict[str, Trouble] = {}
        self._away: dict[str, float] = {}

    def run(self, stop: Event) -> None:
        """Look until ``stop`` is set."""
        while not stop.wait(EVERY_S):
            self.step()

    def step(self) -> None:
        """Look once, and tell what has not been told."""
        self._look(self._clock())
        for way in self._ways:
            if self._clock() >= way.not_before:
                self._tell(way)

    def _look(self, now: float) -> None:
        """Bring ``_lasting`` up to date: a trouble comes in late, and leaves late."""
        found = {trouble.name: trouble for trouble in self._troubles()}
        self._seen = {name: (one, self._seen.get(name, (one, now))[1]) for name, one in found.items()}
        for name, (trouble, since) in self._seen.items():
            if now - since >= self._after_s:
                self._lasting.setdefault(name, trouble)
        self._away = {name: self._away.get(name, now) for name in self._lasting if name not in found}
        for name, since in self._away.items():
            if now - since >= self._after_s:
                del self._lasting[name]

    def _tell(self, way: _Way) -> None:
        begun = [one for name, one in self._lasting.items() if name not in way.told]
        over = [one for name, one in way.told.items() if name not in self._lasting]
        try:
            for what, troubles in ((What.BEGUN, begun), (What.OVER, over)):
                for trouble in troubles:
                    way.channel.tell(Notice(self._site, what, trouble, datetime.now(UTC).astimezone()))
                    _note(way.told, what, trouble)
                    logger.info("people told", extra={"by": way.channel.name, "trouble": trouble.name, "what": what})
        except NotTold as error:
            way.not_before = self._clock() + way.pause_s
            way.pause_s = min(2 * way.pause_s, LONGEST_PAUSE_S)
            logger.error("people not told", extra={"by": way.channel.name, "error": str(error)})  # noqa: TRY400  the trace may show the URL
        else:
            way.pause_s = EVERY_S


def _note(told: dict[str, Trouble], what: What, trouble: Trouble) -> None:
    if what == What.BEGUN:
        told[trouble.name] = trouble
    else:
        del told[trouble.name]
