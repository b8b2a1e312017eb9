"""Protocols: what is held out is never trained on, and kernel and noise are what they say."""

import numpy as np
import pytest

from worker.phantom import acquisition
from worker.phantom.acquisition import Protocol
from worker.phantom.fields import Field

SPACING_MM = (0.7, 0.7)


def edge() -> Field:
    slices = np.full((1, 200, 200), -900, np.float32)
    slices[:, :, 100:] = 0
    return slices


def test_no_kernel_that_is_held_out_is_trained_on() -> None:
    rng = np.random.default_rng(0)
    trained = [Protocol.drawn(1.5, rng).kernel_fwhm_mm for _ in range(2000)]
    held_out = [Protocol.drawn(1.5, rng, held_out=True).kernel_fwhm_mm for _ in range(200)]
    low, high = acquisition.UNSEEN_FWHM_MM
    assert not [mm for mm in trained if low < mm < high]
    assert all(low <= mm <= high for mm in held_out)
    assert (min(trained), max(trained)) == pytest.approx(acquisition.FWHM_MM, abs=0.01)


@pytest.mark.parametrize("held_out", [False, True])
def test_soft_kernels_and_thick_slices_have_less_noise(held_out: bool) -> None:
    rng = np.random.default_rng(1)
    thin, thick = (np.mean([Protocol.drawn(mm, rng, held_out).noise_hu for _ in range(500)]) for mm in (1.0, 4.0))
    assert thin > 1.3 * thick
    assert thick >= acquisition.LEAST_NOISE_HU


def test_noise_has_the_requested_deviation_and_the_kernel_grain() -> None:
    flat = np.zeros((1, 300, 300), np.float32)
    fine, coarse = (
        acquisition.expose(flat, SPACING_MM, Protocol(mm, 0.0, 40.0), np.random.default_rng(2))[0] for mm in (0.5, 1.5)
    )
    assert (fine.std(), coarse.std()) == (pytest.approx(40, rel=0.02), pytest.approx(40, rel=0.02))
    likeness = [np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1] for noise in (fine, coarse)]
    assert likeness[1] > likeness[0] + 0.3


def test_a_soft_kernel_blurs_an_edge_and_a_sharp_one_overshoots() -> None:
    def seen(protocol: Protocol) -> Field:
        return acquisition.expose(edge(), SPACING_MM, protocol, np.random.default_rng(3))[0].mean(axis=0)

    soft, sharp = seen(Protocol(1.5, 0.0, 0.0)), seen(Protocol(0.6, 0.6, 0.0))
    assert np.diff(soft).max() < np.diff(sharp).max()
    assert (soft.min(), soft.max()) == (pytest.approx(-900, abs=1), pytest.approx(0, abs=1))
    assert sharp.min() < -920
    assert sharp.max() > 20
