"""What is measured of a phantom is its truth where the labels are true, and within the stated tolerance where found."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support import json_page
from worker.analysis import lungs
from worker.analysis.patterns import model
from worker.analysis.records import LungMask, PatternMap
from worker.phantom.chest_ct import Phantom, PhantomSpec, render
from worker.settings import PACKAGED_WEIGHTS
from worker.training.evaluation import quantities, quantities_table, truth
from worker.training.evaluation.quantities import Judged

SPEC = PhantomSpec(
    seed=7102, shape=(48, 192, 192), spacing_mm=(5.7, 1.9, 1.9), extent_pct=25.0, consolidation_share=0.0
)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return render(SPEC)


@pytest.fixture(scope="module")
def judged(phantom: Phantom) -> Judged:
    return quantities.judge(phantom, model.load(PACKAGED_WEIGHTS, "cpu"))


def test_the_carina_lies_where_it_was_drawn(phantom: Phantom) -> None:
    found = lungs.segment(phantom.volume).carina
    assert found is not None
    assert (found - truth.carina(phantom)) * SPEC.spacing_mm[0] == pytest.approx(0, abs=10)


def test_the_arithmetic_is_exact_in_true_labels(judged: Judged) -> None:
    assert len(judged.numbers) == 135
    assert [one for one in judged.numbers if one.counted > quantities_table.EXACT] == []
    assert (judged.verdicts.goh[0], judged.verdicts.worst_zone[0]) == (True, True)


def test_every_quantity_is_within_its_tolerance(judged: Judged) -> None:
    # Which pattern a voxel shows is judged in docs/evaluation; here it is where disease lies, and how much.
    compared = [one for one in judged.numbers if one.key[0] in {"lung", "total"}]
    assert len(compared) == 59
    assert [one for one in compared if not one.holds] == []
    assert (judged.verdicts.goh[1], judged.verdicts.worst_zone[1]) == (True, True)


def test_truth_tells_one_voxel_from_none(phantom: Phantom) -> None:
    labels = np.zeros_like(phantom.patterns.labels)
    inside = tuple(np.argwhere(phantom.lungs.labels == 1)[0])
    labels[inside] = 3
    told = truth.of(replace(phantom, patterns=PatternMap(labels)))
    share = 100 / np.count_nonzero(phantom.lungs.labels == 1)
    assert told["consolidation", "right", "whole", "extent"] == pytest.approx(share)
    assert told["total", "right", "lower", "volume"] == pytest.approx(5.7 * 1.9 * 1.9 / 1000)
    assert told["total", "left", "whole", "volume"] == told["ggo", "both", "whole", "extent"] == 0


def test_a_lung_that_is_absent_has_no_truth(phantom: Phantom) -> None:
    right = LungMask(np.where(phantom.lungs.labels == 1, 1, 0).astype(np.uint8))
    assert {side for _, side, _, _ in truth.of(replace(phantom, lungs=right))} == {"right", "both"}


def test_the_table_tells_what_is_exact_and_what_is_beyond(judged: Judged) -> None:
    text = quantities_table.markdown([judged], PACKAGED_WEIGHTS, "scleroscan evaluate --quantities")
    (line,) = (line for line in text.splitlines() if line.startswith("| disease, extent | both lungs"))
    number = next(one for one in judged.numbers if one.key == ("total", "both", "whole", "extent"))
    assert line.split(" | ")[2:] == ["4 points", "none", f"{number.found:.3f}", f"{number.found:.3f}", "1 of 1 |"]
    worse = replace(judged, numbers=tuple(replace(one, counted=1.5, found=99.0) for one in judged.numbers))
    text = quantities_table.markdown([worse], PACKAGED_WEIGHTS, "")
    assert "| disease, extent | both lungs | 4 points | 1.500 | 99.0 | 99.0 | 0 of 1 |" in text


def test_the_page_has_the_keys_of_a_quantity(judged: Judged) -> None:
    json_page.require_documented("evaluate --quantities", quantities_table.as_json([judged]))
