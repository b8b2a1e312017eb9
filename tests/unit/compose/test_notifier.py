"""When people are told: once a trouble lasts, once it is over, and again where a channel did not take it."""

from dataclasses import dataclass, field

import pytest

from compose.errors import NotTold
from compose.monitor.notices import Notice
from compose.monitor.notifier import Notifier
from compose.monitor.troubles import Trouble

AFTER_S = 60.0
STOPPED = Trouble("analyse", "stopped", "start it")
FULL = Trouble("disk of the spool", "0.1 GB are free", "free space")


@dataclass
class Way:
    """A channel that keeps what it was told, or fails."""

    name: str = "way"
    took: list[tuple[str, str]] = field(default_factory=list)
    fails: bool = False

    def tell(self, notice: Notice) -> None:
        if self.fails:
            raise NotTold("away")
        self.took.append((notice.trouble.name, notice.what))


class Site:
    """Troubles and a clock that a test sets."""

    def __init__(self, *ways: Way) -> None:
        self.now_s, self.troubles = 0.0, [STOPPED]
        self._notifier = Notifier("SITE", lambda: self.troubles, ways, AFTER_S, lambda: self.now_s)

    def passes(self, seconds: float) -> None:
        for _ in range(int(seconds / 5)):
            self.now_s += 5
            self._notifier.step()


@pytest.fixture
def way() -> Way:
    return Way()


def test_a_trouble_is_told_once_and_once_when_it_is_over(way: Way) -> None:
    site = Site(way)
    site.passes(600)
    assert way.took == [("analyse", "begun")]
    site.troubles = []
    site.passes(600)
    assert way.took == [("analyse", "begun"), ("analyse", "over")]


def test_a_part_that_is_started_again_wakes_nobody(way: Way) -> None:
    site = Site(way)
    for _ in range(5):
        site.troubles = [STOPPED]
        site.passes(AFTER_S / 2)
        site.troubles = []
        site.passes(AFTER_S / 2)
    assert way.took == []


def test_a_trouble_that_comes_and_goes_is_one(way: Way) -> None:
    site = Site(way)
    site.passes(120)
    for _ in range(5):
        site.troubles = []
        site.passes(AFTER_S / 2)
        site.troubles = [STOPPED]
        site.passes(AFTER_S / 2)
    assert way.took == [("analyse", "begun")]


def test_two_troubles_are_two_messages(way: Way) -> None:
    site = Site(way)
    site.troubles = [STOPPED, FULL]
    site.passes(120)
    site.troubles = [FULL]
    site.passes(120)
    assert way.took == [("analyse", "begun"), (FULL.name, "begun"), ("analyse", "over")]


def test_a_channel_that_fails_delays_no_other_and_is_told_later(way: Way) -> None:
    broken = Way(fails=True)
    site = Site(broken, way)
    site.passes(300)
    assert way.took == [("analyse", "begun")]
    broken.fails = False
    site.passes(900)
    assert broken.took == [("analyse", "begun")]


def test_what_was_over_before_it_could_be_told_is_not_told() -> None:
    broken = Way(fails=True)
    site = Site(broken)
    site.passes(300)
    site.troubles = []
    site.passes(AFTER_S + 10)
    broken.fails = False
    site.passes(3600)
    assert broken.took == []
