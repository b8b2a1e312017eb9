"""The page: three frames of numbers and overlays, valid for others, without anybody's name, told apart by every eye."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from skimage.color import rgb2lab

from tests.support import independent
from tests.support.ct import TinyCT
from tests.support.results import STATEMENT, assessed, save, source
from tests.unit.worker.results.test_report_groups import compared
from worker.results import page, page_object, page_sheet

CT = TinyCT(changes={"PatientName": "CANARY^ANNA"})
# Dichromats' view of linear RGB (Viénot, Brettel and Mollon 1999, 10.1002/(SICI)1520-6378(199908)24:4<243).
DICHROMATS = {
    "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


def shown(**changes: object) -> page_sheet.Shown:
    lungs, patterns = CT.masks()
    one = page_sheet.Shown(
        CT.volume(), lungs, patterns, assessed(CT), compared(), "20260101", "Scleroscan 0", STATEMENT
    )
    return replace(one, **changes)


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    return page.frames(shown())


@pytest.fixture(scope="module")
def made(drawn: list[Image.Image]) -> Dataset:
    return page_object.encode(source(CT), drawn)


def test_the_object_is_valid_and_gives_back_what_was_drawn(
    made: Dataset, drawn: list[Image.Image], tmp_path: Path
) -> None:
    assert independent.validator_errors(save(made, tmp_path / "page.dcm")) == []
    pixels = made.pixel_array[:, page_object.ABOVE : page_object.ABOVE + 1024]
    assert np.array_equal(pixels, np.stack([np.asarray(frame) for frame in drawn]))


def test_nothing_is_drawn_where_viewers_write_into_the_corners(made: Dataset) -> None:
    height = made.Rows
    for strip in (made.pixel_array[:, : height // 12], made.pixel_array[:, -height // 18 :]):
        assert len(np.unique(strip.reshape(-1, 3), axis=0)) == 1


def test_the_page_belongs_to_the_study_and_repeats_itself(made: Dataset, drawn: list[Image.Image]) -> None:
    header = CT.datasets()[0]
    assert (made.StudyInstanceUID, str(made.PatientName)) == (header.StudyInstanceUID, "CANARY^ANNA")
    assert made.SeriesInstanceUID != header.SeriesInstanceUID
    again = [page_object.encode(source(CT), drawn) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0].SOPInstanceUID == made.SOPInstanceUID
    assert "research)" in made.SeriesDescription


def test_change_and_flags_are_on_the_summary_alone(drawn: list[Image.Image]) -> None:
    without = page.frames(shown(comparison=None))
    assert [np.array_equal(*pair) for pair in zip(drawn, without, strict=True)] == [False, True, True]


def test_disease_is_coloured_on_the_side_where_it_is(drawn: list[Image.Image]) -> None:
    # Of the tiny chest the right lung alone has ground glass, yellow: in every tile it lies left of the middle.
    tiles = np.asarray(drawn[2]).astype(int)[74:900, 32:992].reshape(826, 4, 240, 3)
    red, green, blue = np.moveaxis(tiles, -1, 0)
    yellow = (red - blue > 50) & (red - green < 25)
    # Reticulation on the left is orange; at its blurred edge some of it passes for yellow.
    assert np.count_nonzero(yellow[..., :118]) > 20 * np.count_nonzero(yellow[..., 122:])
    assert np.count_nonzero(yellow[:, ::2]) == 0


@pytest.mark.parametrize("eyes", ["usual", *DICHROMATS])
def test_colours_of_findings_are_told_apart_by_every_eye(eyes: str) -> None:
    seen = {name: _lab(colour, eyes) for name, colour in page_sheet.PATTERNS.values()}
    apart = {pair: float(np.linalg.norm(seen[pair[0]] - seen[pair[1]])) for pair in combinations(seen, 2)}
    assert min(apart.values()) > 30, apart


def _lab(colour: tuple[int, int, int], eyes: str) -> np.ndarray:
    linear = (np.array(colour) / 255) ** 2.2
    if eyes != "usual":
        linear = np.clip(np.array(DICHROMATS[eyes]) @ linear, 0, 1)
    return rgb2lab(linear[None, None] ** (1 / 2.2))[0, 0]
