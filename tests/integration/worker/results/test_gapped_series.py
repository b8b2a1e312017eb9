"""High-resolution CT of 1 mm every 10 mm, made of a real chest: segmented, measured and encoded as it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from tests.support import independent
from tests.support.results import CREATED, MAKER
from worker.analysis import lungs, quantify
from worker.analysis.records import LEFT_LUNG, RIGHT_LUNG, LungMask, PatternMap
from worker.reading import chest, series
from worker.reading.series import SourceSeries
from worker.results import seg, sr
from worker.results.segments import ALL
from worker.results.source import ResultSource

EVERY = 4


@pytest.fixture(scope="module")
def whole(real_data: Path) -> tuple[SourceSeries, LungMask]:
    source = series.read(sorted((real_data / "lidc-0001" / "dicom").iterdir()))
    return source, lungs.segment(source.volume)


@pytest.fixture(scope="module")
def gapped(whole: tuple[SourceSeries, LungMask], tmp_path_factory: pytest.TempPathFactory) -> tuple[SourceSeries, Path]:
    """Every fourth slice as a series of its own: 1.25 mm every 10 mm."""
    folder = tmp_path_factory.mktemp("gapped")
    for one in whole[0].slices[::EVERY]:
        ds = dcmread(one.file.path)
        ds.SliceThickness = "1.25"
        ds.FrameOfReferenceUID = whole[0].volume.frame_of_reference_uid
        ds.save_as(folder / one.file.path.name)
    return series.read(sorted(folder.iterdir())), folder


def test_a_gapped_series_is_read_as_it_is(gapped: tuple[SourceSeries, Path]) -> None:
    volume = gapped[0].volume
    assert volume.is_gapped
    assert (volume.spacing_mm[0], volume.slice_thickness_mm) == (pytest.approx(10.0), 1.25)
    chest.require(volume)


def test_its_lungs_are_those_of_the_whole_chest(
    whole: tuple[SourceSeries, LungMask], gapped: tuple[SourceSeries, Path]
) -> None:
    lung_mask = lungs.segment(gapped[0].volume)
    for side in (RIGHT_LUNG, LEFT_LUNG):
        ours, true = lung_mask.labels == side, whole[1].labels[::EVERY] == side
        assert 2 * (ours & true).sum() / (ours.sum() + true.sum()) > 0.985
    assert {"gapped", "thick_slices"} == {flag.code for flag in lung_mask.flags}


def test_its_volume_is_that_of_the_whole_chest(
    whole: tuple[SourceSeries, LungMask], gapped: tuple[SourceSeries, Path]
) -> None:
    def volume_ml(source: SourceSeries, lung_mask: LungMask) -> float:
        nothing = PatternMap(np.zeros_like(lung_mask.labels))
        return quantify.assess(source.volume, lung_mask, nothing).value("lung", "volume")

    assert volume_ml(gapped[0], lungs.segment(gapped[0].volume)) == pytest.approx(volume_ml(*whole), rel=0.02)


def test_gapped_segments_lie_on_their_slices_at_true_thickness(
    gapped: tuple[SourceSeries, Path], tmp_path: Path
) -> None:
    source, folder = gapped
    lung_mask = lungs.segment(source.volume)
    lesion = PatternMap(np.where((lung_mask.labels > 0) & (source.volume.hu > -700), 1, 0).astype(np.uint8))
    made = ResultSource(source.volume, source.headers, "k" * 64, CREATED, MAKER)
    segmentation = seg.encode(made, ALL, lung_mask, lesion)
    report = sr.encode(made, quantify.assess(source.volume, lung_mask, lesion), [segmentation])
    for name, result in (("seg", segmentation), ("sr", report)):
        result.save_as(tmp_path / f"{name}.result", enforce_file_format=True)
        assert independent.validator_errors(tmp_path / f"{name}.result") == []
    (measures,) = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert (float(measures.SliceThickness), float(measures.SpacingBetweenSlices)) == (1.25, pytest.approx(10.0))
    heights = {round(float(header.ImagePositionPatient[2]), 2) for header in source.headers}
    for groups in segmentation.PerFrameFunctionalGroupsSequence:
        assert round(float(groups.PlanePositionSequence[0].ImagePositionPatient[2]), 2) in heights
    found = independent.segments(tmp_path / "seg.result", tmp_path / "dcmqi")
    for label, side in (("Left lung", LEFT_LUNG), ("Right lung", RIGHT_LUNG)):
        inside = replace(source.volume).hu[lung_mask.labels == side]
        assert independent.mean_hu(folder, found[label]) == pytest.approx(float(inside.mean()), abs=0.01)
