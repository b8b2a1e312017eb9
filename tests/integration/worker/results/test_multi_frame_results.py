"""Results of multi-frame CT, read back by others: segments lie where they should, and name the frames."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from tests.support import independent, multi_frame
from tests.support.ct import TinyCT
from tests.support.results import CREATED, MAKER
from worker.analysis import quantify
from worker.reading import series
from worker.results import seg, sr
from worker.results.segments import ALL
from worker.results.source import ResultSource


@pytest.mark.parametrize("make", [multi_frame.enhanced, multi_frame.converted])
def test_others_see_the_segments_of_frames_where_we_see_them(
    tmp_path: Path, make: Callable[[list[Dataset]], Dataset]
) -> None:
    ct = TinyCT()
    whole = make(ct.datasets()[::-1])
    whole.save_as(tmp_path / "whole.dcm", enforce_file_format=True)
    source_series = series.read([tmp_path / "whole.dcm"])
    lungs, patterns = ct.masks()
    source = ResultSource(
        source_series.volume,
        source_series.headers,
        "k" * 64,
        CREATED,
        MAKER,
        tuple(one.frame for one in source_series.slices),
    )
    segmentation = seg.encode(source, ALL, lungs, patterns)
    report = sr.encode(source, quantify.assess(source_series.volume, lungs, patterns), [segmentation])
    for name, result in (("seg", segmentation), ("sr", report)):
        result.save_as(tmp_path / f"{name}.result", enforce_file_format=True)
        assert independent.validator_errors(tmp_path / f"{name}.result") == []
    written = dcmread(tmp_path / "seg.result")
    assert [one.ReferencedSOPInstanceUID for one in written.SourceImageSequence] == [whole.SOPInstanceUID]
    (referred,) = written.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert referred.ReferencedSOPInstanceUID == whole.SOPInstanceUID
    assert referred.ReferencedSOPClassUID == whole.SOPClassUID
    places_of_frames = {12 - index: 2.5 * index - 100 for index in range(12)}
    for groups in written.PerFrameFunctionalGroupsSequence:
        (item,) = groups.DerivationImageSequence[0].SourceImageSequence
        assert item.ReferencedSOPInstanceUID == whole.SOPInstanceUID
        height = float(groups.PlanePositionSequence[0].ImagePositionPatient[2])
        assert places_of_frames[int(item.ReferencedFrameNumber)] == pytest.approx(height)
    ct.write(tmp_path / "classic")
    found = independent.segments(tmp_path / "seg.result", tmp_path / "dcmqi")
    for label, mask in {"Left lung": lungs.labels == 2, "Reticulation": patterns.labels == 2}.items():
        assert independent.mean_hu(tmp_path / "classic", found[label]) == pytest.approx(
            float(ct.hu()[mask].mean()), abs=0.01
        )
