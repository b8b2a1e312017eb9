"""Hard cases of results: where segments lie, what is left where little is found, references, and very long series."""

import hashlib
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from tests.bench import encoding
from tests.support import independent, multi_frame, services
from tests.support.ct import TinyCT
from tests.support.results import CREATED, MAKER, save
from worker.analysis import quantify
from worker.analysis.records import LungMask, PatternMap
from worker.reading import series
from worker.results import key_images, seg, sr
from worker.results.segments import DISEASE, OUTLINE
from worker.results.source import ResultSource

# What each part shows in HU; nothing else does.
HU = {"Right lung": -850, "Left lung": -820, "Ground glass opacity": -600, "Reticulation": -400, "Consolidation": 20}
ELSEWHERE = 60


@dataclass(frozen=True)
class MarkedCT(TinyCT):
    """The tiny series, each part in its own HU, as it is stored by a scanner of one way or another.

    ``along``, ``down`` and ``up`` say whether columns, rows and files run as they do of a patient who lies on the back,
    head first; ``every`` leaves slices out.
    """

    along: int = 1
    down: int = 1
    up: int = 1
    every: int = 1
    changes: dict[str, object] = field(default_factory=dict)

    def hu(self) -> NDArray[np.int16]:
        lungs, patterns = self.masks()
        marked = np.full(lungs.labels.shape, ELSEWHERE, np.int16)
        for labels, values in ((lungs.labels, (-850, -820)), (patterns.labels, (-600, -400, 20))):
            for label, value in enumerate(values, start=1):
                marked[labels == label] = value
        return marked

    def datasets(self) -> list[Dataset]:
        made = [self._turned(one) for one in super().datasets()[self.every - 1 :: self.every]][:: self.up]
        for number, one in enumerate(made, start=1):
            one.InstanceNumber = number
        return made

    def _turned(self, one: Dataset) -> Dataset:
        x, y, z = one.ImagePositionPatient
        pixels = one.pixel_array[:: self.down, :: self.along]
        one.PixelData = pixels.tobytes()
        one.ImageOrientationPatient = [self.along, 0, 0, 0, self.down, 0]
        one.ImagePositionPatient = [
            x if self.along > 0 else float(x) + (self.columns - 1) * self.pixel_mm,
            y if self.down > 0 else float(y) + (self.rows - 1) * self.pixel_mm,
            z,
        ]
        return one


WAYS = {
    "supine": MarkedCT(),
    "prone": MarkedCT(along=-1, down=-1, changes={"PatientPosition": "HFP"}),
    "feet first": MarkedCT(along=-1, changes={"PatientPosition": "FFS"}),
    "feet first, prone": MarkedCT(down=-1, changes={"PatientPosition": "FFP"}),
    "reversed": MarkedCT(up=-1),
    "gapped": MarkedCT(slices=20, every=2, changes={"SliceThickness": "1.25"}),
}


def found_in(paths: list[Path]) -> tuple[ResultSource, LungMask, PatternMap]:
    """Read a series of marked parts, and find each by its HU, as the segmentation of a real one would."""
    read = series.read(paths)
    hu = read.volume.hu
    lungs, patterns = np.zeros(hu.shape, np.uint8), np.zeros(hu.shape, np.uint8)
    for label, value in enumerate((-600, -400, 20), start=1):
        patterns[hu == value] = label
    for label, value in enumerate((-850, -820), start=1):
        lungs[hu == value] = label
    # Disease is lung: of the right and the left half of the patient, whose left lies towards higher x.
    columns = np.moveaxis(np.indices(hu.shape), 0, -1)
    x = (columns @ read.volume.affine[:3, :3].T + read.volume.affine[:3, 3])[..., 0]
    lungs[patterns > 0] = np.where(x[patterns > 0] < -10 + 15.5 * 0.8, 1, 2)
    frames = tuple(one.frame for one in read.slices)
    source = ResultSource(read.volume, read.headers, "k" * 64, CREATED, MAKER, frames)
    return source, LungMask(lungs), PatternMap(patterns)


def seen_by_others(segmentation: Path, folder: Path, reference: Path) -> dict[str, tuple[float, float]]:
    """Return by segment its mean HU in the reference series and its size in voxels of that, as dcmqi has it."""
    parts = independent.segments(segmentation, folder)
    voxel = 0.8 * 0.8 * 2.5
    return {
        label: (
            independent.mean_hu(reference, image),
            float((sitk.GetArrayViewFromImage(image) > 0).sum() * np.prod(image.GetSpacing()) / voxel),
        )
        for label, image in parts.items()
    }


def require_same_anatomy(paths: list[Path], folder: Path, ct: MarkedCT) -> None:
    """Encode what is found, and hold it against the patient on the back, head first, whole."""
    source, lungs, patterns = found_in(paths)
    # One that is gapped is its own: between its slices nothing is known.
    (ct if ct.every > 1 else MarkedCT()).write(folder / "reference")
    disease = save(seg.encode(source, DISEASE, lungs, patterns), folder / "disease.seg")
    assert independent.validator_errors(disease) == []
    true = ct.masks()[1].labels[ct.every - 1 :: ct.every]
    seen = seen_by_others(disease, folder / "dcmqi", folder / "reference")
    sizes = {name: float((true == label).sum() * ct.every) for label, name in enumerate(list(HU)[2:], start=1)}
    assert seen == {name: (pytest.approx(HU[name], abs=0.01), pytest.approx(size)) for name, size in sizes.items()}
    outline = save(seg.encode(source, OUTLINE, lungs, patterns), folder / "outline.seg")
    sides = independent.segments(outline, folder / "outline")
    middles = {name: sitk.GetArrayFromImage(image).nonzero()[2].mean() for name, image in sides.items()}
    for name, image in sides.items():
        x, _, _ = image.TransformContinuousIndexToPhysicalPoint((float(middles[name]), 0.0, 0.0))
        # Of the lungs that are drawn the right one lies towards lower x.
        assert x == pytest.approx({"Right lung": -10 + 7.5 * 0.8, "Left lung": -10 + 23 * 0.8}[name], abs=0.5)


@pytest.mark.parametrize("way", WAYS)
def test_hard_case_20_segments_lie_where_anatomy_lies(way: str, tmp_path: Path) -> None:
    ct = WAYS[way]
    require_same_anatomy(ct.write(tmp_path / "ct"), tmp_path, ct)


@pytest.mark.parametrize("way", ["supine", "feet first"])
def test_hard_case_20_segments_of_frames_lie_there_as_well(way: str, tmp_path: Path) -> None:
    whole = multi_frame.enhanced(WAYS[way].datasets()[::-1])
    require_same_anatomy([save(whole, tmp_path / "whole.dcm")], tmp_path, WAYS[way])


def masks_of(case: str) -> tuple[LungMask, PatternMap]:
    """Return what is found in an extreme chest."""
    lungs, patterns = TinyCT().masks()
    if case == "no lesion":
        return lungs, PatternMap(np.zeros_like(patterns.labels))
    if case == "lesion everywhere":
        return lungs, PatternMap(np.where(lungs.labels > 0, 1, 0).astype(np.uint8))
    if case == "one lung":
        alone = np.where(lungs.labels == 1, 1, 0).astype(np.uint8)
        return LungMask(alone), PatternMap(np.where(alone > 0, patterns.labels, 0).astype(np.uint8))
    touching = lungs.labels.copy()
    touching[:, :20, :13], touching[:, :20, 18:] = 1, 2
    return LungMask(touching), patterns


@pytest.mark.parametrize("case", ["no lesion", "lesion everywhere", "one lung", "at the edge of the field"])
def test_hard_case_21_extreme_chests_have_valid_results(case: str, tmp_path: Path) -> None:
    ct = TinyCT()
    read = series.read(ct.write(tmp_path / "ct"))
    source = ResultSource(read.volume, read.headers, "k" * 64, CREATED, MAKER)
    lungs, patterns = masks_of(case)
    segs = [seg.encode(source, one, lungs, patterns) for one in (DISEASE, OUTLINE)]
    report = save(sr.encode(source, quantify.assess(read.volume, lungs, patterns), segs), tmp_path / "sr")
    written = [save(one, tmp_path / f"{number}.seg") for number, one in enumerate(segs)]
    assert [independent.validator_errors(path) for path in (*written, report)] == [[], [], []]
    told = independent.numbers(report)
    extent = round(100 * np.count_nonzero(patterns.labels) / np.count_nonzero(lungs.labels), 1)
    assert told["Scleroscan interstitial disease", "EXTENT-VOLUME", ""] == (f"{extent:.1f}", "%")
    assert {place[0] for place in told if place[0].endswith("lung")} == {
        f"Scleroscan {side} lung" for side, label in (("right", 1), ("left", 2)) if (lungs.labels == label).any()
    }
    assert (key_images.encode(source, patterns) is None) == (case == "no lesion")
    # An absent pattern keeps its segment, and every other is seen by others voxel for voxel.
    for path, labels, values in zip(written, (patterns.labels, lungs.labels), ((1, 2, 3), (2, 1)), strict=True):
        sizes = [int((image > 0).sum()) for image in in_order(path)]
        assert sizes == [int((labels == value).sum()) for value in values]


def in_order(path: Path) -> list[NDArray[np.uint8]]:
    """Return the planes of each segment, by its number, as highdicom reads them."""
    read = hd.seg.segread(path)
    number_of = [groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber for groups in frames_of(read)]
    planes = read.pixel_array.reshape(-1, read.Rows, read.Columns)
    return [planes[np.equal(number_of, one.SegmentNumber)] for one in read.SegmentSequence]


def frames_of(read: Dataset) -> list[Dataset]:
    return list(read.PerFrameFunctionalGroupsSequence)


def test_hard_case_22_references_lead_to_untouched_sources(tmp_path: Path) -> None:
    ct = TinyCT()
    paths = ct.write(tmp_path / "ct")
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    read = series.read(paths)
    source = ResultSource(read.volume, read.headers, "k" * 64, CREATED, MAKER)
    lungs, patterns = ct.masks()
    segs = [dcmread(save(seg.encode(source, one, lungs, patterns), tmp_path / one.role)) for one in (DISEASE, OUTLINE)]
    report = save(sr.encode(source, quantify.assess(read.volume, lungs, patterns), segs), tmp_path / "sr")
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths] == before
    first = dcmread(paths[0])
    uids = {str(dcmread(path).SOPInstanceUID) for path in paths}
    for one in segs:
        assert (one.StudyInstanceUID, one.FrameOfReferenceUID) == (first.StudyInstanceUID, first.FrameOfReferenceUID)
        (referred,) = one.ReferencedSeriesSequence
        assert referred.SeriesInstanceUID == first.SeriesInstanceUID
        assert {item.ReferencedSOPInstanceUID for item in referred.ReferencedInstanceSequence} == uids
        named = {
            groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
            for groups in frames_of(one)
        }
        assert named <= uids
    tracked = {(item.TrackingID, item.TrackingUID) for one in segs for item in one.SegmentSequence}
    assert len(tracked) == 5
    printed = subprocess.run([services.program("dsrdump"), str(report)], capture_output=True, text=True, check=True)
    for name, uid in tracked:
        assert f'"{name}"' in printed.stdout
        assert uid in printed.stdout
    for one in segs:
        assert one.SOPInstanceUID in report.read_bytes().decode("latin-1")


def test_hard_case_23_a_very_long_series_is_soon_encoded(tmp_path: Path) -> None:
    ct = replace(TinyCT(), slices=60, rows=512, columns=512)
    lungs = np.zeros((60, 512, 512), np.uint8)
    lungs[:, 100:420, 60:240], lungs[:, 100:420, 270:450] = 1, 2
    patterns = np.zeros_like(lungs)
    for label in (1, 2, 3):
        patterns[:, 100 * label : 100 * label + 60, 80:200] = label
    ct.write(tmp_path / "ct")
    prepared = encoding.prepare(tmp_path / "masks", tmp_path / "ct", LungMask(lungs), PatternMap(patterns))
    found = encoding.measured("ours", prepared, 1500, 1)
    # 5 segments on 1,500 slices: 7,500 frames, 246 MB.
    assert found.cpu_s < 30
    assert found.peak_mb - found.before_mb < 1000
