"""What is measured of a phantom lies within the stated tolerance of its truth, zone by zone."""

import numpy as np
import pytest

from worker.analysis import lungs, patterns, quantify
from worker.analysis.patterns import model
from worker.analysis.records import Assessment, LungMask, Measurement
from worker.phantom.chest_ct import Phantom, PhantomSpec, render
from worker.settings import PACKAGED_WEIGHTS

SPEC = PhantomSpec(
    seed=7102, shape=(48, 192, 192), spacing_mm=(5.7, 1.9, 1.9), extent_pct=25.0, consolidation_share=0.0
)
# The trachea of every phantom parts 28 mm above the middle of a chest of 275 mm.
CARINA_MM = 28 * SPEC.shape[0] * SPEC.spacing_mm[0] / 275
# (quantity, whole or zone) to the largest difference, in the unit of the quantity; of volumes in percent.
TOLERANCES = {
    ("volume", "whole"): 4.0,
    ("volume", "zone"): 6.0,
    ("extent", "whole"): 4.0,
    ("extent", "zone"): 6.0,
    ("mean_attenuation", "whole"): 20.0,
    ("attenuation_sd", "whole"): 25.0,
    ("high_attenuation", "whole"): 2.0,
    ("skewness", "whole"): 0.2,
    ("kurtosis", "whole"): 1.0,
    ("five_level_extent", "whole"): 4.0,
}


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return render(SPEC)


@pytest.fixture(scope="module")
def outline(phantom: Phantom) -> LungMask:
    return lungs.segment(phantom.volume)


def test_the_carina_lies_where_it_was_drawn(outline: LungMask) -> None:
    assert outline.carina is not None
    height_mm = (outline.carina - (SPEC.shape[0] - 1) / 2) * SPEC.spacing_mm[0]
    assert height_mm == pytest.approx(CARINA_MM, abs=10)


def test_every_quantity_is_within_its_tolerance(phantom: Phantom, outline: LungMask) -> None:
    found = patterns.segment(phantom.volume, outline, model.load(PACKAGED_WEIGHTS, "cpu"))
    measured = quantify.assess(phantom.volume, outline, found)
    drawn_carina = round(CARINA_MM / SPEC.spacing_mm[0] + (SPEC.shape[0] - 1) / 2)
    truth = quantify.assess(phantom.volume, LungMask(phantom.lungs.labels, carina=drawn_carina), phantom.patterns)
    # Which pattern a voxel shows is judged in docs/evaluation; here it is where disease lies, and how much.
    compared = [m for m in truth.measurements if m.region in {"lung", "total"} and within(m) is not None]
    compared = [m for m in compared if not (m.region == "total" and m.quantity in {"volume", *DENSITIES})]
    beyond = {f"{m.region} {m.side} {m.zone} {m.quantity}": line for m in compared if (line := difference(measured, m))}
    assert len(compared) == 40
    assert beyond == {}


DENSITIES = ("mean_attenuation", "attenuation_sd")


def within(m: Measurement) -> float | None:
    return TOLERANCES.get((m.quantity, "whole" if m.zone == "whole" else "zone"))


def difference(measured: Assessment, true: Measurement) -> str:
    """Return both numbers where they differ by more than the tolerance, else nothing."""
    found = measured.value(true.region, true.quantity, true.side, true.zone)
    apart = abs(found - true.value) * (100 / true.value if true.quantity == "volume" else 1)
    tolerance = within(true)
    assert tolerance is not None
    assert np.isfinite(apart)
    return "" if apart <= tolerance else f"{found:.2f} instead of {true.value:.2f}"
