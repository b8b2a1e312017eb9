"""Two readers of one image: how far they agree, from the masks alone."""

import numpy as np
import pytest

from tests.support.ct import TinyCT
from worker.training.data.labelled import Labelled, from_masks
from worker.training.evaluation import readers

CT = TinyCT()


def drawn(name: str, rows: slice) -> Labelled:
    volume = CT.volume()
    lung = np.zeros(volume.hu.shape, bool)
    lung[:, 4:12, 4:12] = True
    patterns = np.zeros(volume.hu.shape, np.uint8)
    patterns[:, rows, 4:12] = 2
    return from_masks(name, volume, lung, patterns)


def test_agreement_is_dice_and_the_difference_of_extents() -> None:
    found = readers.compared(drawn("d/A (anna)", slice(4, 8)), drawn("d/A (ben)", slice(6, 8)))
    assert (found.first, found.second) == ("d/A (anna)", "d/A (ben)")
    assert found.dice["reticulation"] == pytest.approx(2 * 2 / (4 + 2))
    assert found.dice["ggo"] is None
    assert found.extents_pct["total"] == pytest.approx((50.0, 25.0))
    assert found.difference_points("total") == pytest.approx(-25.0)


def test_every_pair_of_readers_is_compared() -> None:
    three = [drawn(name, slice(4, 8)) for name in "ABC"]
    assert [(row.first, row.second) for row in readers.pairs(three)] == [("A", "B"), ("A", "C"), ("B", "C")]


def test_readers_are_told_in_a_table_for_people() -> None:
    row = readers.compared(drawn("d/A (anna)", slice(4, 8)), drawn("d/A (ben)", slice(6, 8)))
    assert readers.table_rows([row]) == [["d/A (anna) – d/A (ben)", "0.667", "–", "0.667", "50.0 – 25.0", "-25.0"]]
