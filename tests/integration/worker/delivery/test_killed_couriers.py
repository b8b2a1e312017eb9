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
        chaos = DeliveryChaos(site, folder, seed=2)
        figures = chaos.run(rounds=3)
        # Kills that nobody noticed show nothing, and when they fall is chance.
        while figures.begun_again == 0 and figures.rounds < 30:
            figures = chaos.run(rounds=figures.rounds + 3)
    assert figures.amiss == []
    assert figures.objects >= JOBS * len(killable_delivery.KINDS)
    assert figures.begun_again > 0
