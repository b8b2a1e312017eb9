"""The pattern model: where its result lies on the grid, and which weights it accepts."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from worker.analysis import card, patterns
from worker.analysis.patterns import model, network
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import CONSOLIDATION, GROUND_GLASS, NO_PATTERN, RETICULATION, RIGHT_LUNG, LungMask, Region
from worker.errors import DeviceUnavailable, WeightsMismatch
from worker.reading.volume import CTVolume

HEALTHY_HU, GLASS_HU, NET_HU, SOLID_HU = -900, -600, -300, 0
GLASS = np.s_[3:8, 20:44, 16:40]
NET = np.s_[4:6, 28:40, 20:32]
SOLID = np.s_[4:6, 31:37, 23:29]


@dataclass(frozen=True)
class Bright:
    """Calls lesion, reticulation and consolidation what is above −750, −450 and −150 HU in one of the three slices."""

    channel: int = 1
    name: str = "bright"
    precision: str = "float32"

    def __call__(self, stacks: torch.Tensor) -> torch.Tensor:
        low, high = patterns.WINDOW_HU
        hu = (stacks[:, self.channel] + 1) * (high - low) / 2 + low
        # All but what is padded is lung.
        return torch.stack([hu + 750, hu + 450, hu + 150, hu + 1000], dim=1) / 20


def bright_model(step_mm: float = 1.0, reach_mm: float = 2.0, channel: int = 1) -> PatternModel:
    return PatternModel(
        engine=Bright(channel),
        thresholds=(0.5, 0.5, 0.5),
        spreads=(1.0, 1.0, 1.0),
        margins=(0.0, 0.0, 0.0),
        step_mm=step_mm,
        reach_mm=reach_mm,
        digest="",
        name="bright",
        version="0",
        card={},
        device=torch.device("cpu"),
    )


@pytest.fixture
def volume() -> CTVolume:
    """A supine volume of 1 mm pixels with a glass block that holds a net block with a solid one within."""
    hu = np.full((12, 64, 56), HEALTHY_HU, np.int16)
    hu[GLASS], hu[NET], hu[SOLID] = GLASS_HU, NET_HU, SOLID_HU
    affine = np.array([[0.0, 0, 1, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1]])
    return CTVolume(hu, affine, tuple(str(i) for i in range(12)), "1.2")


@pytest.fixture
def truth() -> NDArray[np.uint8]:
    labels = np.full((12, 64, 56), NO_PATTERN, np.uint8)
    labels[GLASS], labels[NET], labels[SOLID] = GROUND_GLASS, RETICULATION, CONSOLIDATION
    return labels


def whole(volume: CTVolume) -> LungMask:
    return LungMask(np.full(volume.hu.shape, RIGHT_LUNG, np.uint8))


def test_patterns_come_out_where_they_are_on_the_source_grid(volume: CTVolume, truth: NDArray[np.uint8]) -> None:
    found = patterns.segment(volume, whole(volume), bright_model())
    assert np.array_equal(found.labels, truth)


@pytest.mark.parametrize("step_mm", [0.7, 1.5])
def test_another_working_resolution_moves_nothing(volume: CTVolume, truth: NDArray[np.uint8], step_mm: float) -> None:
    found = patterns.segment(volume, whole(volume), bright_model(step_mm=step_mm)).labels
    assert (found != truth).mean() < 0.02
    for label in (GROUND_GLASS, RETICULATION, CONSOLIDATION):
        centres = [np.argwhere(labels == label).mean(axis=0) for labels in (found, truth)]
        assert np.abs(centres[0] - centres[1]).max() < 0.3


@pytest.mark.parametrize(("row_step", "column_step"), [((0, -1, 0), (-1, 0, 0)), ((0, 1, 0), (-1, 0, 0))])
def test_a_turned_patient_keeps_the_patterns_in_place(
    volume: CTVolume, truth: NDArray[np.uint8], row_step: tuple[int, ...], column_step: tuple[int, ...]
) -> None:
    affine = volume.affine.copy()
    affine[:3, 1], affine[:3, 2] = row_step, column_step
    turned = replace(volume, affine=affine)
    assert np.array_equal(patterns.segment(turned, whole(turned), bright_model()).labels, truth)


def test_nothing_is_found_outside_the_lungs(volume: CTVolume, truth: NDArray[np.uint8]) -> None:
    lungs = whole(volume)
    lungs.labels[:, :, 28:] = 0
    found = patterns.segment(volume, lungs, bright_model()).labels
    assert not found[:, :, 28:].any()
    assert np.array_equal(found[:, :, :28], truth[:, :, :28])


def test_no_lungs_give_no_patterns(volume: CTVolume) -> None:
    nothing = LungMask(np.zeros(volume.hu.shape, np.uint8))
    assert not patterns.segment(volume, nothing, bright_model()).labels.any()


def test_reticulation_counts_only_inside_a_lesion(volume: CTVolume) -> None:
    strict = replace(bright_model(), thresholds=(1.1, 0.5, 0.5))
    assert not patterns.segment(volume, whole(volume), strict).labels.any()


def test_the_bounds_of_an_extent_hold_it(volume: CTVolume, truth: NDArray[np.uint8]) -> None:
    narrow, wide = (
        {one.region: one for one in patterns.segment(volume, whole(volume), model).bounds}
        for model in (bright_model(), replace(bright_model(), spreads=(9.0, 9.0, 9.0)))
    )
    assert set(narrow) == {Region.TOTAL, Region.GROUND_GLASS, Region.RETICULATION, Region.CONSOLIDATION}
    assert narrow[Region.TOTAL].lower <= (truth > 0).mean() <= narrow[Region.TOTAL].upper
    # Every healthy voxel is within nine logits of being called diseased.
    assert wide[Region.TOTAL].upper == 1.0
    assert wide[Region.GROUND_GLASS].upper >= narrow[Region.GROUND_GLASS].upper


def test_neighbours_are_taken_by_distance_not_by_number(volume: CTVolume, truth: NDArray[np.uint8]) -> None:
    below = patterns.segment(volume, whole(volume), bright_model(reach_mm=4.0, channel=0)).labels
    assert np.array_equal(below[2:], truth[:-2])
    assert np.array_equal(below[0], truth[0])


def test_a_lung_mask_the_network_disagrees_with_is_flagged(volume: CTVolume) -> None:
    assert patterns.segment(volume, whole(volume), bright_model()).flags == ()
    half = whole(volume)
    half.labels[:, :, 28:] = 0
    (flag,) = patterns.segment(volume, half, bright_model()).flags
    assert flag.code == "outline_disagreement"
    # The network sees as far as the margin around the lung_mask reaches.
    assert flag.value == pytest.approx(100 * patterns.MARGIN_MM / 28, abs=5)


def test_progress_counts_up_to_the_slices_that_hold_lung(volume: CTVolume) -> None:
    lungs = whole(volume)
    lungs.labels[:3] = 0
    seen: list[tuple[int, int]] = []
    patterns.segment(volume, lungs, bright_model(), lambda done, total: seen.append((done, total)))
    assert [total for _, total in seen] == [9] * len(seen)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1][0] == 9


@pytest.mark.parametrize(("spacing_mm", "looked_at"), [(0.5, [3, 4, 5]), (0.75, [4, 5]), (0.8, [4]), (2.0, [4])])
def test_thin_slices_are_looked_at_together(volume: CTVolume, spacing_mm: float, looked_at: list[int]) -> None:
    affine = volume.affine.copy()
    affine[2, 0] = spacing_mm
    hu = np.full((11, 64, 56), HEALTHY_HU, np.int16)
    # Bright enough to be found in the mean of so many slices, and of no more.
    hu[4] = HEALTHY_HU + 200 * len(looked_at)
    thin = replace(volume, hu=hu, affine=affine, sop_uids=volume.sop_uids[:11])
    seen: list[tuple[int, int]] = []
    found = patterns.segment(thin, whole(thin), bright_model(), lambda *progress: seen.append(progress))
    assert np.flatnonzero(found.labels.any(axis=(1, 2))).tolist() == looked_at
    assert seen[-1] == (11, 11)


def weights_with_card(folder: Path) -> Path:
    path = folder / "w.safetensors"
    halved = {name: tensor.half() for name, tensor in network.build().state_dict().items()}
    point = {"lesion": 0.4, "reticulation": 0.6, "consolidation": 0.7, "step_mm": 0.8, "reach_mm": 2.5}
    point |= {f"{name}_spread": 1.5 for name in ("lesion", "reticulation", "consolidation")}
    point |= {f"{name}_margin": 0.01 for name in ("lesion", "reticulation")}
    save_file(halved, path, metadata={card.WORKING_POINT: json.dumps(point)})
    described = {"name": "w", "version": "1", "digest": card.file_digest(path)}
    path.with_suffix(".json").write_text(json.dumps(described), encoding="utf-8")
    return path


def test_weights_are_loaded_with_their_own_working_point(tmp_path: Path) -> None:
    path = weights_with_card(tmp_path)
    loaded = model.load(path, "cpu")
    assert (loaded.thresholds, loaded.spreads, loaded.margins) == ((0.4, 0.6, 0.7), (1.5,) * 3, (0.01, 0.01, 0.002))
    assert loaded.digest == card.digest(path) == card.file_digest(path)
    assert (loaded.step_mm, loaded.reach_mm) == (0.8, 2.5)
    stack = torch.zeros(1, network.SLICES_IN, 64, 32)
    assert loaded.engine(stack).shape == (1, len(network.OUTPUTS), 64, 32)


def test_weights_that_do_not_say_how_to_use_them_are_refused(tmp_path: Path) -> None:
    path = weights_with_card(tmp_path)
    save_file(network.build().state_dict(), path)
    described = json.loads(path.with_suffix(".json").read_text()) | {"digest": card.file_digest(path)}
    path.with_suffix(".json").write_text(json.dumps(described))
    with pytest.raises(WeightsMismatch, match="how to use it"):
        model.load(path, "cpu")


def test_weights_that_changed_by_one_byte_are_refused(tmp_path: Path) -> None:
    path = weights_with_card(tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsMismatch, match="digests differ"):
        model.load(path, "cpu")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = weights_with_card(tmp_path)
    point = json.dumps(card.working_point(path))
    save_file({"other": torch.zeros(1)}, path, metadata={card.WORKING_POINT: point})
    described = json.loads(path.with_suffix(".json").read_text()) | {"digest": card.file_digest(path)}
    path.with_suffix(".json").write_text(json.dumps(described))
    with pytest.raises(WeightsMismatch, match="does not fit"):
        model.load(path, "cpu")


def test_weights_without_a_card_are_refused(tmp_path: Path) -> None:
    path = weights_with_card(tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(WeightsMismatch, match="cannot be read"):
        card.digest(path)


def test_a_gpu_that_is_not_there_is_said_to_be_unavailable() -> None:
    with pytest.raises(DeviceUnavailable):
        model.choose_device("cuda:99")


def test_the_card_is_read_without_torch() -> None:
    script = "import sys; import worker.analysis.card; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(("apart_mm", "sees"), [(2.0, "below"), (5.0, "below"), (10.0, "itself")])
def test_a_slice_is_seen_with_its_neighbours_unless_they_are_far(
    volume: CTVolume, truth: NDArray[np.uint8], apart_mm: float, sees: str
) -> None:
    affine = volume.affine.copy()
    affine[2, 0] = apart_mm
    apart = replace(volume, affine=affine)
    found = patterns.segment(apart, whole(apart), bright_model(channel=0)).labels
    assert np.array_equal(found, truth if sees == "itself" else np.concatenate([truth[:1], truth[:-1]]))
