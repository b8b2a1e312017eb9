"""The table of quantities beside their truth, as a file for people."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from worker.analysis import card as model_card
from worker.analysis.records import WHOLE, Quantity, Region, Side
from worker.training.evaluation import report, truth
from worker.training.evaluation.quantities import Compared, Judged, Verdicts
from worker.training.evaluation.summary import said
from worker.training.evaluation.truth import Key

FILE = "quantities.md"
KEY = ("region", "side", "zone", "quantity")
HEAD = (
    "quantity",
    "of",
    "tolerance",
    "true labels: largest difference",
    "found: median difference",
    "largest",
    "within the tolerance",
)
REGIONS = {
    Region.LUNG: "lung",
    Region.TOTAL: "disease",
    Region.GROUND_GLASS: "ground glass",
    Region.RETICULATION: "reticulation",
    Region.CONSOLIDATION: "consolidation",
}
# What floating point leaves of an equal sum.
EXACT = 1e-9


def write(judged: Sequence[Judged], weights: Path, command: str, folder: Path) -> Path:
    """Write ``quantities.md`` into a folder and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    path.write_text(markdown(judged, weights, command), encoding="utf-8")
    return path


def markdown(judged: Sequence[Judged], weights: Path, command: str) -> str:
    """Return the table for people."""
    card = model_card.read(weights)
    return "\n".join(
        (
            f"# Every quantity beside the truth of {len(judged)} phantoms\n",
            f"**{model_card.statement(card)}**\n",
            f"Weights `{card['digest'][:16]}…`. Made by\n\n    {command}\n",
            "*True labels*: what is drawn is measured, which tries the arithmetic alone; the truth is counted by other "
            "means. *Found*: lungs and patterns are segmented first, as a worker does.\n",
            report.table(HEAD, list(_rows(judged))),
            report.table(("right in", "true labels", "found"), list(_verdict_rows([one.verdicts for one in judged]))),
        )
    )


def as_json(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return one record for each number of each phantom."""
    return [
        {"phantom": number, **dict(zip(KEY, one.key, strict=True))}
        | {"tolerance": one.tolerance, "unit": one.unit, "counted": one.counted, "found": one.found}
        for number, phantom in enumerate(judged, start=1)
        for one in phantom.numbers
    ]


def _rows(judged: Sequence[Judged]) -> Iterator[Sequence[str]]:
    grouped: dict[tuple[str, str], list[Compared]] = {}
    for one in judged:
        for number in one.numbers:
            grouped.setdefault((_what(number.key), _where(number.key)), []).append(number)
    for (what, where), numbers in sorted(grouped.items(), key=lambda group: _order(group[1][0].key)):
        found = [number.found for number in numbers if number.found is not None]
        yield (
            what,
            where,
            f"{numbers[0].tolerance:g} {numbers[0].unit}".strip(),
            _exactly(max(number.counted for number in numbers)),
            said(float(np.median(found)) if found else None),
            said(max(found, default=None)),
            f"{sum(number.holds for number in numbers)} of {len(numbers)}",
        )


def _exactly(apart: float) -> str:
    return "none" if apart < EXACT else said(apart)


def _what(key: Key) -> str:
    region, _, _, quantity = key
    return f"{REGIONS[Region(region)]}, {quantity}".replace("_", " ")


def _order(key: Key) -> tuple[int, int]:
    return list(Region).index(Region(key[0])), list(Quantity).index(Quantity(key[3]))


def _where(key: Key) -> str:
    _, side, zone, quantity = key
    if quantity == Quantity.LEVEL_EXTENT:
        return "each level"
    lungs_of = "both lungs" if side == Side.BOTH else "one lung"
    return lungs_of if zone == WHOLE else f"zones of {lungs_of}"


def _verdict_rows(verdicts: Sequence[Verdicts]) -> Iterator[Sequence[str]]:
    for name, pairs in (
        ("category of Goh", [one.goh for one in verdicts]),
        ("worst zone", [one.worst_zone for one in verdicts]),
    ):
        yield name, *(f"{sum(pair[which] for pair in pairs)} of {len(pairs)}" for which in (0, 1))
    for region in truth.PATTERNS:
        held = [one.bounds[region] for one in verdicts if region in one.bounds]
        yield f"95 % interval of {REGIONS[region]}", "–", f"{sum(held)} of {len(held)}"
