"""Lesions painted into real lungs: the truth is known, and nothing outside the lungs changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worker.phantom.acquisition import Protocol
from worker.phantom.chest_ct import Phantom, PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series
from worker.training.data import painted
from worker.training.data.cases import HEALTHY, OUTSIDE

HEALTHY_CHEST = PhantomSpec(
    seed=3, shape=(24, 80, 80), spacing_mm=(11.0, 4.7, 4.7), extent_pct=0.0, protocol=Protocol(noise_hu=10.0)
)
ILL_SEED, HEALTHY_SEED = 1, 7


@pytest.fixture(scope="module")
def chest() -> Phantom:
    return render(HEALTHY_CHEST)


def test_painted_disease_is_dense_labelled_and_spares_the_rest(chest: Phantom) -> None:
    before, after = (painted.painted("h", chest.volume, chest.lungs, seed) for seed in (HEALTHY_SEED, ILL_SEED))
    lesion = after.labels > HEALTHY
    assert lesion.any()
    assert not (before.labels > HEALTHY).any()
    assert np.median((after.hu - before.hu)[lesion]) > 60
    assert np.abs(after.hu - before.hu)[after.labels == OUTSIDE].mean() < 5
    assert after.exposed


def test_the_same_seed_paints_the_same_disease(chest: Phantom) -> None:
    one, again = (painted.painted("h", chest.volume, chest.lungs, ILL_SEED) for _ in range(2))
    assert np.array_equal(one.hu, again.hu)
    assert np.array_equal(one.labels, again.labels)


def test_seeds_take_turns_among_the_series_of_a_folder(chest: Phantom, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 9)):
        write_series(render(replace(HEALTHY_CHEST, seed=seed)), tmp_path / name, PhantomIdentity())
    cases = list(painted.cases(tmp_path, range(5)))
    assert [case.patient for case in cases] == ["healthy lungs 1"] * 3 + ["healthy lungs 2"] * 2
    assert len({case.hu.shape for case in cases}) == 2
