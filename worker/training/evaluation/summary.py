"""Pooled scores as lines for people: the same in the terminal, in the report and on the model card."""

from collections.abc import Iterator
from typing import Any

MISSING = "–"
REGIONS = {
    "total": "lesion (total)",
    "ggo": "ground glass",
    "reticulation": "reticulation",
    "consolidation": "consolidation",
}
Line = tuple[str, str]


def rows(pooled: dict[str, Any], repeatability_points: float | None = None) -> list[Line]:
    """Return (score, value) for what :func:`worker.training.evaluation.evaluate.pooled` returns."""
    lines = [("patients", f"{pooled['patients']}, {pooled['healthy']} of them healthy")]
    for name, title in REGIONS.items():
        lines += _region(pooled["regions"][name], title)
    lung_mask = pooled["lung_mask"]
    lines += [
        _with_worst(
            "false extent on the healthy, %", pooled, "false_extent_healthy_pct", "false_extent_healthy_worst_pct"
        ),
        ("Goh category agrees, % (κ)", f"{said(pooled['goh_agreement_pct'])} ({said(pooled['goh_kappa'])})"),
        _with_worst("Dice, lung mask", lung_mask, "dice", "dice_worst"),
        _with_worst("Dice, threshold alone", lung_mask, "dice_threshold_alone", "dice_threshold_alone_worst"),
    ]
    if repeatability_points is not None:
        lines.append(("change of extent from noise alone, points", said(repeatability_points)))
    return lines


def _region(region: dict[str, Any], title: str) -> Iterator[Line]:
    yield f"Dice, {title}", f"{said(region['dice'])} (given the true lungs {said(region['dice_in_true_lung'])})"
    yield f"error of extent, {title}, points", said(region["error_points"])
    if limits := region["bland_altman"]:
        agreement = f"{limits['bias']:+.2f} ({limits['lower']:+.2f} to {limits['upper']:+.2f})"
        yield f"bias of extent, {title}, points (95 % limits of agreement)", agreement
    yield f"ICC(2,1) of extent, {title}", said(region["icc_2_1"])
    yield f"true extent within its bounds, {title}, % of patients", said(region["held_by_bounds_pct"])
    yield f"width of the bounds, {title}, points (median)", said(region["bounds_points"])


def _with_worst(title: str, record: dict[str, Any], mean: str, worst: str) -> Line:
    return title, f"{said(record[mean])} (worst {said(record[worst])})"


def said(value: float | None) -> str:
    """Return a number with the digits that mean something, a dash for none."""
    if value is None:
        return MISSING
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
