"""Evaluation: what it pools, what it writes, and that it can tell a good model from a bad one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import json_page
from tests.support.labelled import TINY, tiny_plan
from worker.analysis import patterns
from worker.analysis.patterns import bounds
from worker.analysis.patterns.model import PatternModel
from worker.phantom.chest_ct import PhantomSpec, render
from worker.training.data.labelled import Labelled, from_phantom
from worker.training.evaluation import evaluate, judge, lines, readers, report, score, summary, sweep
from worker.training.evaluation.comparison import Comparison
from worker.training.evaluation.dense_lungs import DenseLungRow
from worker.training.evaluation.score import LungMaskScore, PatientScore, Region
from worker.training.fit import calibrate, train

SPEC = PhantomSpec(seed=4, shape=(30, 96, 96), spacing_mm=(9.0, 3.9, 3.9), extent_pct=25.0, consolidation_share=0.0)


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass
class Oracle:
    """Answers with the truth of one patient, slice after slice, as far as ``certainty`` goes."""

    patient: Labelled
    certainty: float = 0.9
    name: str = "oracle"
    precision: str = "float32"

    def asked(self) -> PatternModel:
        device = torch.device("cpu")
        step_mm = self.patient.volume.spacing_mm[1]
        return PatternModel(self, (0.5,) * 3, (0.0,) * 3, (0.0,) * 3, step_mm, 2.5, "", "oracle", "0", {}, device)

    def __call__(self, stacks: torch.Tensor) -> torch.Tensor:
        slices = [self._answer(stack[1]) for stack in stacks]
        return torch.stack(slices)

    def _answer(self, seen: torch.Tensor) -> torch.Tensor:
        """Find the slice by its pixels, and answer with its labels where the crop lies."""
        hu = patterns.windowed(torch.from_numpy(self.patient.volume.hu))
        for index, plane in enumerate(hu):
            place = _found(plane, seen)
            if place is not None:
                labels = torch.from_numpy(self.patient.patterns.labels[index])[place]
                lung = torch.from_numpy(self.patient.lungs.labels[index])[place] > 0
                said = torch.stack([labels > 0, labels == 2, labels == 3, lung]).float()
                answer = torch.full((4, *seen.shape), -9.0)
                rows, columns = labels.shape
                answer[:, :rows, :columns] = torch.logit(torch.where(said > 0, self.certainty, 1 - self.certainty))
                return answer
        raise AssertionError("the network was asked about pixels that are not the patient's")


def _found(plane: torch.Tensor, seen: torch.Tensor) -> tuple[slice, slice] | None:
    inner = seen[:8, :8]
    windows = plane.unfold(0, 8, 1).unfold(1, 8, 1)
    match = torch.nonzero((windows - inner).abs().amax(dim=(2, 3)) < 1e-5)
    if len(match) != 1:
        return None
    top, left = (int(n) for n in match[0])
    return slice(top, min(top + seen.shape[0], plane.shape[0])), slice(left, min(left + seen.shape[1], plane.shape[1]))


@pytest.fixture(scope="module")
def patient() -> Labelled:
    return from_phantom(render(SPEC))


def test_a_perfect_model_loses_only_what_the_lung_mask_costs(patient: Labelled) -> None:
    row = score.patient(patient, Oracle(patient).asked())
    assert row.regions["total"].dice_in_true_lung == pytest.approx(1.0, abs=0.01)
    assert row.regions["total"].true_pct == pytest.approx(25.0, abs=0.1)
    assert row.regions["total"].found_pct == pytest.approx(25.0, abs=3)
    assert row.lung_mask.dice is not None
    assert row.lung_mask.dice_threshold is not None
    assert row.lung_mask.dice > row.lung_mask.dice_threshold > 0.5


def test_thresholds_are_where_extents_have_no_bias(patient: Labelled) -> None:
    sure = calibrate.calibrated([patient], Oracle(patient, certainty=0.62).asked())
    assert all(0.38 <= threshold <= 0.62 for threshold in sure.thresholds)
    assert max(sure.spreads) <= 0.1


def test_where_dice_is_flat_the_bias_decides() -> None:
    thresholds = np.arange(100) / 100
    flat = np.where(thresholds < 0.6, 0.717 - 0.005 * thresholds, 0.5)
    falling = 0.02 - 0.02 * thresholds
    assert calibrate.fitting(falling, flat) == 0.59
    assert calibrate.fitting(falling, 0.7 - 0.1 * thresholds) == 0.35
    assert calibrate.fitting(falling) == 0.7


def test_bounds_are_the_narrowest_that_hold_what_is_true() -> None:
    shares, truth = np.repeat([[0.1], [0.3]], 100, axis=1), np.array([0.112, 0.3])
    # No threshold brings back what the network does not see; a margin does, and then none need move.
    assert calibrate.bounding(shares, truth, 0.5) == (0.0, 0.015)
    falling = np.linspace(0.3, 0.1, 100)[None]
    spread, margin = calibrate.bounding(falling, np.array([0.23]), 0.5)
    assert (spread, margin) != (0.0, 0.03)
    held, _ = calibrate.held(falling, np.array([0.23]), bounds.limits(0.5, spread), margin)
    assert held == 1


def row(name: str, true: float, found: float, dice: float | None) -> PatientScore:
    region = Region(dice, dice, true, found)
    return PatientScore(name, dict.fromkeys(score.REGIONS, region), LungMaskScore(0.98, 0.9), ())


def test_pooling_keeps_the_healthy_apart() -> None:
    pooled = evaluate.pooled([row("ill", 20.0, 23.0, 0.9), row("healthy", 0.0, 1.0, 0.0)])
    total = pooled["regions"]["total"]
    assert (total["dice"], total["error_points"], total["bland_altman"]["bias"]) == (0.9, 2.0, 2.0)
    assert (pooled["healthy"], pooled["false_extent_healthy_pct"]) == (1, 1.0)
    assert (pooled["goh_agreement_pct"], pooled["lung_mask"]["dice_threshold_alone"]) == (100.0, 0.9)
    assert evaluate.pooled([row("ill", 20.0, 23.0, 0.9)])["false_extent_healthy_pct"] is None


def evaluation() -> report.Evaluation:
    """Two patients, and a row of every table."""
    return report.Evaluation(
        of="phantoms",
        weights="",
        intended_use="",
        command="",
        patients=(row("ill", 20.0, 23.0, 0.9), row("healthy", 0.0, 1.0, 0.0)),
        dense_lungs=(DenseLungRow(0.0, 0.98, 0.98, 0.0),),
        sweep=(sweep.SweepRow("kernel", "sharp", 0.9, 0.8, 1.0, 1.0),),
        repeatability_points=0.1,
        lines=(lines.LinesRow("haze without lines", "soft", "0.6", 0.9, 0.1, 0.0),),
        readers=(readers.Readers("anna", "ben", {"total": 1.0}, {"total": (20.0, 20.0)}),),
    )


def test_the_page_has_the_keys_of_an_evaluation() -> None:
    json_page.require_documented("evaluate", evaluation().as_json())
    both = Comparison(("a", "b"), (evaluation(), evaluation())).as_json()
    alone = [model | {"pooled": None} for model in both["models"]]
    json_page.require_documented("evaluate --against", both | {"models": alone})


def test_a_healthy_patient_without_findings_lowers_no_dice() -> None:
    pooled = evaluate.pooled([row("ill", 20.0, 20.0, 0.9), row("healthy", 0.0, 0.0, None)])
    assert pooled["regions"]["total"]["dice"] == 0.9


def test_how_often_bounds_hold_the_truth_is_counted() -> None:
    bounded = [
        PatientScore(
            name, dict.fromkeys(score.REGIONS, Region(0.9, 0.9, 20.0, 21.0, bounds)), LungMaskScore(0.98, 0.9), ()
        )
        for name, bounds in (("held", (18.0, 23.0)), ("missed", (20.5, 23.0)))
    ]
    assert evaluate.pooled(bounded)["regions"]["total"]["held_by_bounds_pct"] == 50.0
    assert evaluate.pooled([row("none", 20.0, 20.0, 0.9)])["regions"]["total"]["held_by_bounds_pct"] is None


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    plan = tiny_plan(tmp_path_factory.mktemp("judged"))
    train.run(plan, silent)
    return plan.out


def test_an_evaluation_is_written_for_people_and_for_machines(weights: Path, tmp_path: Path) -> None:
    asked = judge.Request(weights, phantoms=2, sweep=1, device="cpu", processes=1, case=TINY)
    found = judge.run(asked, "scleroscan evaluate --phantoms 2", silent)
    report.write(found, tmp_path)
    stored = json.loads((tmp_path / "evaluation.json").read_text())
    assert stored["pooled"] == json.loads(json.dumps(evaluate.pooled(found.patients)))
    assert {(line["axis"], line["value"]) for line in stored["sweep"]} == {(s.axis, s.value) for s in sweep.SETTINGS}
    assert {line["kind"] for line in stored["lines"]} == {kind[0] for kind in lines.KINDS}
    assert len(stored["lines"]) == len(lines.KINDS) * len(lines.KERNELS) * len(lines.MERGED)
    text = (tmp_path / "evaluation.md").read_text()
    assert "scleroscan evaluate --phantoms 2" in text
    assert all(f"| {name} | {value} |" in text for name, value in summary.rows(stored["pooled"]))
    for name in ("bland-altman.png", "sweep.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_phantoms_are_scored_alike_in_one_process_and_in_two(weights: Path) -> None:
    scorer = evaluate.PhantomScorer(weights, "cpu", TINY)
    seeds = [evaluate.HELD_OUT_SEED, evaluate.HELD_OUT_SEED + 1]
    assert evaluate.phantoms(scorer, seeds, 1, silent) == evaluate.phantoms(scorer, seeds, 2, silent)


def test_the_sweep_acquires_the_same_patient_in_other_ways() -> None:
    thin, scene = sweep._thin(5, 32)
    gapped = next(setting for setting in sweep.SETTINGS if setting.every > 1)
    seen = sweep._acquired(scene, thin, gapped)
    assert seen.volume.spacing_mm[0] == pytest.approx(10.0)
    assert np.array_equal(seen.patterns.labels, scene.patterns.labels[:: gapped.every])
    thick = sweep._acquired(scene, thin, replace(gapped, merged=4, every=1))
    assert len(thick.volume.hu) == sweep.THIN_SLICES // 4
