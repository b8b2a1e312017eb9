"""The trained model as files: weights in safetensors, and its card for machines and for people."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from safetensors.torch import save_file

from worker.analysis import card as model_card
from worker.analysis.patterns import network
from worker.analysis.patterns.model import PatternModel
from worker.training.data import dataset_file
from worker.training.data.survey import Survey
from worker.training.evaluation import evaluate, summary
from worker.training.evaluation.score import PatientScore
from worker.training.fit.plan import TrainingPlan
from worker.training.fit.sides import Sides

# Names have entries of their own; paths are nobody's business.
NOT_IN_CARD = frozenset(
    {"out", "cache", "name", "version", "start_from", "average_with", "healthy", "without_lines", "teacher", "datasets"}
)
# safetensors writes for the owner alone; a worker may run as another user.
READABLE = 0o644
NOT_SEEN = "real disease drawn by people, surgery, implants, chests of children"
CURVE_POINTS = 100
SYNTHETIC, LABELLED = "synthetic", "labelled"


def weights(unet: torch.nn.Module, model: PatternModel, plan: TrainingPlan) -> None:
    """Write the weights in half precision, with how they are to be used.

    So one digest covers all that decides a result. The statistics between the layers stay as they are: some are larger
    than half precision holds, and an infinite variance silences its channel.
    """
    plan.out.parent.mkdir(parents=True, exist_ok=True)
    parameters = dict(unet.named_parameters())
    halved = {n: (t.half() if n in parameters else t).contiguous().cpu() for n, t in unet.state_dict().items()}
    outputs = network.OUTPUTS[: network.LUNG]
    point = {
        **dict(zip(outputs, model.thresholds, strict=True)),
        **{f"{name}_spread": spread for name, spread in zip(outputs, model.spreads, strict=True)},
        **{f"{name}_margin": margin for name, margin in zip(outputs, model.margins, strict=True)},
        "step_mm": plan.step_mm,
        "reach_mm": plan.crop.reach_mm,
    }
    part = plan.out.with_suffix(".part")
    save_file(halved, part, metadata={model_card.WORKING_POINT: json.dumps(point, sort_keys=True)})
    part.chmod(READABLE)
    part.rename(plan.out)


def card(
    plan: TrainingPlan,
    sides: Sides,
    surveys: Sequence[Survey],
    losses: Sequence[float],
    scores: Sequence[PatientScore] = (),
) -> dict[str, Any]:
    """Write both forms of the card beside the weights; return it."""
    base = model_card.read(plan.start_from) if plan.start_from else None
    others = [model_card.read(path) for path in plan.average_with]
    origin = _origin(plan, [one for one in (base, *others) if one])
    training_data = _training_data(plan, sides, base)
    written = {
        "name": plan.name,
        "version": plan.version,
        "origin": origin,
        "digest": model_card.file_digest(plan.out),
        "intended_use": model_card.statement({"training_data": training_data}),
        "training_data": training_data,
        "network": f"U-Net, {network.ENCODER} encoder, {network.SLICES_IN} slices in",
        "outputs": list(network.OUTPUTS),
        "trained_on": _trained_on(plan, others),
        "not_seen": NOT_SEEN if LABELLED not in origin else "whatever is not in the data it was trained on",
        "labels": [survey.as_json() for survey in surveys],
        "known_patients": sides.known.as_card(),
        "training": {k: v for k, v in asdict(plan).items() if k not in NOT_IN_CARD},
        "started_from": base["digest"] if base else None,
        "averaged_with": [card["digest"] for card in others],
        "torch": torch.__version__,
        "steps": len(losses),
        "losses": _thinned(losses),
        "scores": evaluate.pooled(scores) if scores else None,
    }
    plan.out.with_suffix(".json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    plan.out.with_suffix(".md").write_text(as_markdown(written, model_card.working_point(plan.out)), encoding="utf-8")
    return written


def _origin(plan: TrainingPlan, forerunners: Sequence[dict[str, Any]]) -> str:
    """Return where the lesions come from that the model or a forerunner has seen."""
    inherited = {origin for card in forerunners for origin in str(card.get("origin", "")).split(" and ")}
    own = {SYNTHETIC: bool(plan.cases or plan.healthy), LABELLED: bool(plan.datasets)}
    return " and ".join(origin for origin, is_own in own.items() if is_own or origin in inherited)


def _training_data(plan: TrainingPlan, sides: Sides, base: dict[str, Any] | None) -> str:
    """Return what stands behind "Trained on" in every result of the model."""
    patients = sum(len(sided.train) for sided in sides.splits)
    parts = ["computed lesions"] if plan.cases or plan.healthy else []
    if plan.without_lines:
        parts.append("real haze as an earlier model sees it")
    if plan.datasets:
        parts.append(f"labelled data of {patients} patient{'' if patients == 1 else 's'}")
    return " and ".join(parts) + (f", fine-tuned from {model_card.title(base)}" if base else "")


def _trained_on(plan: TrainingPlan, others: Sequence[dict[str, Any]]) -> str:
    first = plan.seed * 10_000
    parts = [f"{plan.cases} computed phantoms (seeds {first} to {first + plan.cases - 1})"] if plan.cases else []
    if plan.healthy:
        parts.append(f"{plan.painted} computed lesions painted into real healthy lungs")
    if plan.without_lines:
        parts.append("real diseased slices without lines, their disease as an earlier model sees it")
    parts += [f"labelled patients of the data set {dataset_file.read(path).name}" for path in plan.datasets]
    if others:
        parts.append(f"weights averaged with those of {' and '.join(map(model_card.title, others))}")
    return "; ".join(parts)


def _thinned(losses: Sequence[float]) -> list[float]:
    chunk = max(1, len(losses) // CURVE_POINTS)
    return [round(sum(losses[i : i + chunk]) / len(losses[i : i + chunk]), 4) for i in range(0, len(losses), chunk)]


def as_markdown(written: dict[str, Any], point: dict[str, float]) -> str:
    """Return the card for people."""
    return (
        f"# Model card: {model_card.title(written)}\n\n**{written['intended_use']}**\n\n"
        f"- SHA-256 of the weights: `{written['digest']}`\n- Network: {written['network']}\n"
        f"- Trained on: {written['trained_on']}\n- Has not seen: {written['not_seen']}\n"
        f"- Started from: {written['started_from'] or 'random'} weights\n"
        f"- Input: slices at {point['step_mm']} mm in-plane, neighbours {point['reach_mm']} mm away, −1024..200 HU\n"
        f"- Thresholds: lesion {point['lesion']}, reticulation {point['reticulation']}, "
        f"consolidation {point['consolidation']}\n"
        f"- Training: {written['steps']} steps; {json.dumps(written['training'])}\n\n{_scores(written['scores'])}"
    )


def _scores(scores: dict[str, Any] | None) -> str:
    if scores is None:
        return "Not scored yet: `scleroscan evaluate`.\n"
    lines = "".join(f"| {name} | {value} |\n" for name, value in summary.rows(scores))
    return (
        "Scores on patients held out, with lungs and patterns segmented as at work:\n\n"
        f"| score | value |\n|---|---|\n{lines}\n"
        "Phantom scores say nothing of patients: never set them beside scores on real data.\n"
    )
