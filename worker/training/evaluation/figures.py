"""Figures of training and evaluation."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from worker.training.evaluation import agreement
from worker.training.evaluation.score import PatientScore
from worker.training.evaluation.sweep import SweepRow

# No screen.
mpl.use("Agg")
DPI = 110


def bland_altman(patients: Sequence[PatientScore], path: Path) -> None:
    """Difference against mean of extent, for all disease and for reticulation."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, (name, title) in zip(axes, (("total", "total extent"), ("reticulation", "reticulation")), strict=True):
        true, found = ([getattr(row.regions[name], what) for row in patients] for what in ("true_pct", "found_pct"))
        difference = [f - t for t, f in zip(true, found, strict=True)]
        axis.scatter([(t + f) / 2 for t, f in zip(true, found, strict=True)], difference, s=14)
        if limits := agreement.bland_altman(true, found):
            for level, style in ((limits.bias, "-"), (limits.lower, "--"), (limits.upper, "--")):
                axis.axhline(level, linestyle=style, linewidth=1, color="0.4")
        axis.set(title=title, xlabel="mean of true and found, % of lung", ylabel="found − true, points")
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def sweep(rows: Sequence[SweepRow], path: Path) -> None:
    """Dice against each setting of kernel, noise and thickness."""
    names = list(dict.fromkeys(row.axis for row in rows))
    figure, axes = plt.subplots(1, len(names), figsize=(4.5 * len(names), 4), layout="constrained", squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        own = [row for row in rows if row.axis == name]
        labels = [row.value for row in own]
        axis.plot(labels, [row.dice_lesion for row in own], marker="o", label="lesion")
        axis.plot(labels, [row.dice_reticulation for row in own], marker="s", label="reticulation")
        axis.set(xlabel=name, ylabel="Dice", ylim=(0, 1))
        axis.tick_params(axis="x", labelrotation=30)
    axes[0][0].legend()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def curve(losses: Sequence[float], path: Path) -> None:
    """Draw the loss of a training run, with its running mean."""
    figure, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
    axis.plot(losses, linewidth=0.3, color="0.7")
    width = max(1, len(losses) // 50)
    means = [sum(losses[i : i + width]) / len(losses[i : i + width]) for i in range(0, len(losses), width)]
    axis.plot([width * (i + 0.5) for i in range(len(means))], means, linewidth=1.5)
    axis.set(xlabel="step", ylabel="loss")
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
