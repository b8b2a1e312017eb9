"""The SEG is, to the byte, the one that highdicom makes from a stack of all segments."""

from io import BytesIO

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.datadict import keyword_for_tag

from tests.support.ct import TinyCT
from tests.support.results import part10, source
from worker.analysis.records import LungMask, PatternMap
from worker.results import seg
from worker.results.segments import ALL, DISEASE, OUTLINE, Content

EVERYTHING, LUNGS_ALONE = "lungs and lesions", "lungs alone"


def stacked(content: Content, lungs: LungMask, patterns: PatternMap) -> NDArray[np.uint8]:
    """Return the masks (slices, rows, columns, segments), as highdicom takes those that overlap."""
    disease = [patterns.labels == value for value in (1, 2, 3)]
    sides = [lungs.labels == 2, lungs.labels == 1]
    masks = {DISEASE: disease, OUTLINE: sides, ALL: disease + sides}[content]
    return np.stack(masks, axis=-1).astype(np.uint8)


def masks(ct: TinyCT, found: str) -> tuple[LungMask, PatternMap]:
    """Return what is found."""
    lungs, patterns = ct.masks()
    return lungs, PatternMap(np.zeros_like(lungs.labels)) if found == LUNGS_ALONE else patterns


def differing(ours: bytes, theirs: bytes) -> list[str]:
    """Return the attributes that differ: their names tell more than bytes."""
    left, right = (dcmread(BytesIO(one)) for one in (ours, theirs))
    tags = sorted({*left.keys(), *right.keys()})
    return [keyword_for_tag(tag) for tag in tags if left.get(tag) != right.get(tag)]


# Frames of 23 × 29 begin inside bytes.
SERIES = {"": TinyCT(), "odd": TinyCT(rows=23, columns=29), "turned": TinyCT(step_mm=-2.5)}


@pytest.mark.parametrize("ct", SERIES.values(), ids=SERIES)
@pytest.mark.parametrize(
    ("content", "found"), [(ALL, EVERYTHING), (ALL, LUNGS_ALONE), (DISEASE, EVERYTHING), (OUTLINE, EVERYTHING)]
)
def test_it_is_what_highdicom_makes_of_a_stack(ct: TinyCT, content: Content, found: str) -> None:
    one, (lungs, patterns) = source(ct), masks(ct, found)
    ours = part10(seg.encode(one, content, lungs, patterns))
    theirs = hd.seg.Segmentation(pixel_array=stacked(content, lungs, patterns), **seg.attributes(one, content))
    if -(-theirs.NumberOfFrames * ct.rows * ct.columns // 8) % 2:
        # An odd number of bytes is padded by the digit 0 there; here by a zero byte, as all else is.
        theirs.PixelData = theirs.PixelData[:-1] + b"\0"
    one.stamp(theirs, content.description)
    for item in (*theirs.DimensionOrganizationSequence, *theirs.DimensionIndexSequence):
        item.DimensionOrganizationUID = one.uid(f"{content.role} dimensions")
    assert differing(ours, part10(theirs)) == []
    assert ours == part10(theirs)
