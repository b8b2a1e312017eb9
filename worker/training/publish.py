"""The trained model as files: weights in safetensors, and its card for machines and for people."""

import json
from dataclasses import asdict
from typing import Any

import torch
from safetensors.torch import save_file

from worker.analysis import card as model_card
from worker.analysis import network
from worker.training import evaluate
from worker.training.plan import TrainingPlan

# Names have entries of their own; paths are nobody's business.
NOT_IN_CARD = frozenset({"out", "cache", "name", "version", "start_from"})
# safetensors writes for the owner alone; a worker may run as another user.
READABLE = 0o644


def write(
    unet: torch.nn.Module, thresholds: tuple[float, float], plan: TrainingPlan, outcome: dict[str, Any]
) -> dict[str, Any]:
    """Write weights (half precision) and both forms of the card; return the card."""
    plan.out.parent.mkdir(parents=True, exist_ok=True)
    halved = {n: (t.half() if t.is_floating_point() else t).contiguous() for n, t in unet.state_dict().items()}
    part = plan.out.with_suffix(".part")
    save_file(halved, part)
    part.chmod(READABLE)
    part.rename(plan.out)
    card = {
        "name": plan.name,
        "version": plan.version,
        "digest": model_card.file_digest(plan.out),
        "intended_use": model_card.RESEARCH_SENTENCE,
        "network": f"U-Net, {network.ENCODER} encoder, {network.SLICES_IN} slices in",
        "regions": list(network.REGIONS),
        "thresholds": {"lesion": thresholds[0], "reticulation": thresholds[1]},
        "step_mm": plan.step_mm,
        "reach_mm": plan.crop.reach_mm,
        "trained_on": f"{plan.cases} computed phantoms, seeds from {plan.seed * 10_000}; no patient",
        "not_seen": "any real CT, any real disease, contrast artefacts, motion, effusion, consolidation, surgery",
        "training": {k: v for k, v in asdict(plan).items() if k not in NOT_IN_CARD},
        "started_from": model_card.digest(plan.start_from) if plan.start_from else None,
        "torch": torch.__version__,
        "losses": outcome["losses"],
        "scores": evaluate.summary(outcome["scores"]),
        "held_out": [asdict(row) for row in outcome["scores"]],
    }
    plan.out.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    plan.out.with_suffix(".md").write_text(as_markdown(card), encoding="utf-8")
    return card


def as_markdown(card: dict[str, Any]) -> str:
    """Return the card for people."""
    scores = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in card["scores"].items())
    return (
        f"# Model card: {card['name']} {card['version']}\n\n**{card['intended_use']}**\n\n"
        f"- SHA-256 of the weights: `{card['digest']}`\n- Network: {card['network']}\n"
        f"- Trained on: {card['trained_on']}\n- Has not seen: {card['not_seen']}\n"
        f"- Started from: {card['started_from'] or 'random'} weights\n"
        f"- Input: slices at {card['step_mm']} mm in-plane, neighbours {card['reach_mm']} mm away, −1024..200 HU\n"
        f"- Thresholds: lesion {card['thresholds']['lesion']}, reticulation {card['thresholds']['reticulation']}\n"
        f"- Training: {json.dumps(card['training'])}\n\n"
        "Scores on held-out phantoms (other seeds, kernels and noise), inside the true lungs:\n\n"
        f"| score | value |\n|---|---|\n{scores}\n\n"
        "Phantom scores say nothing of patients: never set them beside scores on real data.\n"
    )
