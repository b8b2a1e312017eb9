"""Key images: those with most disease, apart from each other, named so that others find them."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from tests.support import independent, multi_frame
from tests.support.ct import TinyCT
from tests.support.results import CREATED, MAKER, save, source
from worker.analysis.records import GROUND_GLASS, PatternMap
from worker.reading import series
from worker.results import key_images
from worker.results.source import ResultSource

CT = TinyCT(slices=30)


def disease(areas: dict[int, int]) -> PatternMap:
    """So many voxels of disease in a slice."""
    labels = np.zeros((30, CT.rows * CT.columns), np.uint8)
    for index, area in areas.items():
        labels[index, :area] = GROUND_GLASS
    return PatternMap(labels.reshape(30, CT.rows, CT.columns))


def shown(selection: Dataset) -> list[str]:
    return [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in selection.ContentSequence
        if item.ValueType == "IMAGE"
    ]


@pytest.mark.parametrize(
    ("areas", "chosen"),
    [
        ({4: 9, 5: 10, 6: 8, 20: 3}, [5, 20]),
        ({2: 1, 12: 4, 20: 2, 29: 3}, [12, 29, 20]),
        ({2: 1, 10: 5, 18: 4, 26: 3}, [10, 18, 26]),
        ({}, []),
    ],
)
def test_the_worst_slices_lie_apart(areas: dict[int, int], chosen: list[int]) -> None:
    assert key_images.worst_slices(disease(areas), CT.step_mm) == chosen


def test_others_read_which_images_are_meant(tmp_path: Path) -> None:
    selection = key_images.encode(source(CT), disease({5: 10, 20: 12}))
    assert selection is not None
    stored, images = save(selection, tmp_path / "ko.dcm"), CT.datasets()
    assert independent.validator_errors(stored) == []
    assert shown(selection) == [images[20].SOPInstanceUID, images[5].SOPInstanceUID]
    said = independent.dump(stored)
    assert "Of Interest" in said
    assert "Most disease found" in said
    assert said.count("CT image") == 2
    assert selection.StudyInstanceUID == images[0].StudyInstanceUID


def test_without_disease_nothing_is_selected() -> None:
    assert key_images.encode(source(CT), disease({})) is None


def test_of_a_multi_frame_object_the_frames_are_named(tmp_path: Path) -> None:
    whole = multi_frame.enhanced(CT.datasets()[::-1])
    whole.save_as(tmp_path / "whole.dcm", enforce_file_format=True)
    read = series.read([tmp_path / "whole.dcm"])
    frames = tuple(one.frame for one in read.slices)
    selection = key_images.encode(
        ResultSource(read.volume, read.headers, "k" * 64, CREATED, MAKER, frames), disease({5: 10, 20: 12})
    )
    assert selection is not None
    assert independent.validator_errors(save(selection, tmp_path / "ko.dcm")) == []
    named = [item.ReferencedSOPSequence[0] for item in selection.ContentSequence if item.ValueType == "IMAGE"]
    assert [(one.ReferencedSOPInstanceUID, one.ReferencedFrameNumber) for one in named] == [
        (whole.SOPInstanceUID, 30 - 20),
        (whole.SOPInstanceUID, 30 - 5),
    ]
    (study,) = selection.CurrentRequestedProcedureEvidenceSequence
    (told,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert told.ReferencedSOPInstanceUID == whole.SOPInstanceUID
