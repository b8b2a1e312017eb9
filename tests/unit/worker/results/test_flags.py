"""Doubts travel with the number: into the SR and below the pictures."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from tests.support.ct import TinyCT
from tests.support.results import FLAGS, MAKER, encoded
from worker import pipeline
from worker.reading.quality import QualityFlag
from worker.results import picture


def test_the_sr_names_every_flag() -> None:
    *_, report = encoded(TinyCT())
    assert [flag.code for flag in FLAGS] == _evaluations(report)


def _evaluations(item: Any) -> list[str]:
    """Return the codes of all quality flags below an item of an SR."""
    found = []
    for child in item.get("ContentSequence", ()):
        if child.ConceptNameCodeSequence[0].CodeMeaning == "Quality flag":
            found.append(child.ConceptCodeSequence[0].value)
        found += _evaluations(child)
    return found


def sheet(flags: tuple[QualityFlag, ...]) -> Image.Image:
    ct = TinyCT()
    source: Any = SimpleNamespace(maker=MAKER)
    assessment: Any = SimpleNamespace(flags=flags)
    return picture.contact_sheet(ct.volume(), *ct.masks(), pipeline._below(source, assessment), count=3)


def test_the_picture_names_every_flag_and_cuts_none() -> None:
    codes = ("outline_disagreement", "partial_coverage", "lung_at_field_edge", "unusual_lung_ratio", "much_recovered")
    more = ("dense_at_ribs", "thick_slices", "reticulation_not_assessable", "gapped", "frame_of_reference_per_slice")
    many = tuple(replace(FLAGS[0], code=code) for code in (*codes, *more))
    few, all_of_them = sheet(many[:1]), sheet(many)
    assert not np.array_equal(np.asarray(sheet(()))[-20:], np.asarray(few)[-20:])
    # What is cut off at the right would reach the last column.
    last = np.asarray(all_of_them)[-20:, -6:]
    assert (last == picture.BACKGROUND).all()
    assert not np.array_equal(np.asarray(sheet(many[:-1])), np.asarray(all_of_them))
