"""Workers that are killed while they deliver, in the short form of `make chaos-delivery`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos_delivery import JOBS, DeliveryChaos
from tests.support import killable_delivery


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the account of Postgres can walk through."""
    with tempfile.TemporaryDirectory(prefix="scleroscan-chaos-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_hard_case_31_killed_workers_deliver_each_once(folder: Path) -> None:
    with killable_delivery.site(folder) as site:
        figures = DeliveryChaos(site, folder, seed=2).run(rounds=3)
    assert figures.amiss == []
    assert (figures.rounds, figures.objects >= JOBS * len(killable_delivery.KINDS)) == (3, True)
    # Kills that nobody noticed would show nothing.
    assert figures.begun_again > 0
