"""SEGs in each form, bits or labels, plain or deflated: what others read in them is the mask, voxel by voxel."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from tests.support import independent, multi_frame, services
from tests.support.ct import TinyCT
from tests.support.results import CREATED, MAKER, assessed, save, source
from worker.analysis.records import PatternMap
from worker.reading import series
from worker.results import seg, segments, sr
from worker.results.profile import Finding, Profile, SegForm
from worker.results.source import ResultSource

CT = TinyCT()
WRITTEN = {
    "bits": Profile(),
    "bits, deflated": Profile(deflated=True),
    "one": Profile(SegForm.ONE),
    "one, deflated": Profile(SegForm.ONE, deflated=True),
    "labels": Profile(SegForm.LABELMAP),
    "labels, deflated": Profile(SegForm.LABELMAP, deflated=True),
}
LABELS = (WRITTEN["labels"], WRITTEN["labels, deflated"])
SEGMENTATION_OF_LABELS = "1.2.840.10008.5.1.4.1.1.66.7"
# dicom3tools and DCMTK of 2022 are older than LABELMAP.
TOO_NEW = "Error - Information Object Not found"
NO_SEGMENTATION = "Error - Shall not be present for Referenced SOP Class that is not segmentation"


@dataclass(frozen=True)
class Made:
    """The SEGs of a profile by role, in files, and the SR that refers to them."""

    segs: dict[str, Path]
    report: Path


def made(profile: Profile, folder: Path, patterns: PatternMap | None = None) -> Made:
    lungs, found = CT.masks()
    one = source(CT)
    objects = {part.role: seg.encode(one, segments.of(part), lungs, patterns or found) for part in profile.parts}
    report = sr.encode(one, assessed(CT), objects.values(), profile=profile)
    segs = {role: save(dataset, folder / f"{role.replace(', ', '-')}.dcm") for role, dataset in objects.items()}
    return Made(segs, save(report, folder / "sr.dcm"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Return the objects of a profile by its name, made once."""
    return cache(lambda name: made(WRITTEN[name], tmp_path_factory.mktemp("made")))


def masks() -> dict[str, NDArray[np.bool_]]:
    """Return our masks (slices, rows, columns) by label."""
    lungs, patterns = CT.masks()
    return {
        "Ground glass opacity": patterns.labels == 1,
        "Reticulation": patterns.labels == 2,
        "Consolidation": patterns.labels == 3,
        "Left lung": lungs.labels == 2,
        "Right lung": lungs.labels == 1,
    }


def read_by_highdicom(path: Path) -> dict[str, NDArray[np.bool_]]:
    """Return each segment (slices, rows, columns) by label, in the order of our slices."""
    found = hd.seg.segread(path)
    numbered = {one.SegmentLabel: one.SegmentNumber for one in found.SegmentSequence}
    pixels = found.get_pixels_by_source_instance(
        [header.SOPInstanceUID for header in CT.datasets()],
        segment_numbers=list(numbered.values()),
        assert_missing_frames_are_empty=True,
    )
    return {label: pixels[..., index] > 0 for index, label in enumerate(numbered)}


@pytest.mark.parametrize("name", WRITTEN)
def test_highdicom_reads_each_voxel(written: Callable[[str], Made], name: str) -> None:
    found = {label: one for path in written(name).segs.values() for label, one in read_by_highdicom(path).items()}
    ours = masks()
    assert found.keys() == ours.keys()
    for label, mask in ours.items():
        np.testing.assert_array_equal(found[label], mask)


@pytest.mark.parametrize("name", ["labels", "labels, deflated"])
def test_dcmqi_reads_labels_where_they_lie(written: Callable[[str], Made], tmp_path: Path, name: str) -> None:
    CT.write(tmp_path / "ct")
    for number, path in enumerate(written(name).segs.values()):
        image = labels_by_dcmqi(path, tmp_path / f"itk{number}")
        names = [one.SegmentLabel for one in dcmread(path).SegmentSequence]
        for value, label in enumerate(names, start=1):
            ours = masks()[label]
            alone = sitk.Cast(image == value, sitk.sitkUInt8)
            assert int(sitk.GetArrayFromImage(alone).sum()) == int(ours.sum())
            assert independent.mean_hu(tmp_path / "ct", alone) == pytest.approx(float(CT.hu()[ours].mean()), abs=0.01)


def labels_by_dcmqi(path: Path, folder: Path) -> sitk.Image:
    folder.mkdir()
    command = [independent.dcmqi("segimage2itkimage"), "--inputDICOM", str(path), "--outputDirectory", str(folder)]
    subprocess.run([*command, "--outputType", "nrrd"], check=True, capture_output=True)
    (only,) = folder.glob("*.nrrd")
    return sitk.ReadImage(str(only))


def test_dcmqi_reads_deflated_bits_as_plain_ones(written: Callable[[str], Made], tmp_path: Path) -> None:
    pairs = zip(written("bits").segs.values(), written("bits, deflated").segs.values(), strict=True)
    for number, paths in enumerate(pairs):
        found = [independent.segments(path, tmp_path / f"itk{number}-{index}") for index, path in enumerate(paths)]
        assert found[0].keys() == found[1].keys()
        for label, image in found[0].items():
            np.testing.assert_array_equal(*(sitk.GetArrayFromImage(one) for one in (image, found[1][label])))


@pytest.mark.parametrize("name", WRITTEN)
def test_dcmtk_reads_it_and_validators_find_no_error(written: Callable[[str], Made], tmp_path: Path, name: str) -> None:
    profile = WRITTEN[name]
    every = written(name)
    inflated = [_inflated(path, tmp_path / f"plain{number}") for number, path in enumerate(every.segs.values())]
    for path, plain in zip(every.segs.values(), inflated, strict=True):
        assert dcmread(plain).PixelData == dcmread(path).PixelData
        found = independent.validator_errors(plain)
        assert [one for one in found if not one.startswith(TOO_NEW)] == []
        assert bool(found) == (profile in LABELS)
    assert report_errors(every.report) == []
    assert entity_errors([*CT.write(tmp_path / "ct"), *inflated, every.report]) == []


def report_errors(report: Path) -> list[str]:
    """Return what dciodvfy calls an error in an SR, but that it refers to a segment of what it does not know."""
    return [one for one in independent.validator_errors(report) if not one.startswith(NO_SEGMENTATION)]


def _inflated(path: Path, plain: Path) -> Path:
    """Have DCMTK write an object in Explicit VR Little Endian."""
    subprocess.run([services.program("dcmconv"), "+te", str(path), str(plain)], check=True, capture_output=True)
    return plain


def entity_errors(paths: list[Path]) -> list[str]:
    """Return where dcentvfy of dicom3tools finds that objects differ in what they share."""
    command = [services.program("dcentvfy"), *map(str, paths)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line for line in (found.stdout + found.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("name", WRITTEN)
def test_orthanc_keeps_it_to_the_byte(orthanc: services.Orthanc, written: Callable[[str], Made], name: str) -> None:
    for path in written(name).segs.values():
        answer = orthanc.request("POST", "/instances", path.read_bytes())
        kept = orthanc.content("GET", f"/instances/{answer['ID']}/file")
        assert kept == path.read_bytes()
        orthanc.content("DELETE", f"/instances/{answer['ID']}")


def test_labels_take_a_frame_for_each_slice(written: Callable[[str], Made]) -> None:
    disease, lungs = (dcmread(path) for path in written("labels").segs.values())
    assert (disease.SOPClassUID, disease.SegmentationType) == (SEGMENTATION_OF_LABELS, "LABELMAP")
    on = [int(labels.labels.any(axis=(1, 2)).sum()) for labels in (CT.masks()[1], CT.masks()[0])]
    assert [int(one.NumberOfFrames) for one in (disease, lungs)] == on


def test_labels_of_nothing_have_an_empty_frame(tmp_path: Path) -> None:
    nothing = PatternMap(np.zeros_like(CT.masks()[1].labels))
    disease = dcmread(made(WRITTEN["labels"], tmp_path, nothing).segs["disease seg, labelmap"])
    assert int(disease.NumberOfFrames) == 1
    assert not any(disease.PixelData)


def test_the_same_job_writes_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("first", "again"):
        (tmp_path / folder).mkdir()
    first, again = (made(WRITTEN["labels, deflated"], tmp_path / folder) for folder in ("first", "again"))
    assert [one.read_bytes() for one in first.segs.values()] == [one.read_bytes() for one in again.segs.values()]


@pytest.mark.parametrize("name", WRITTEN)
def test_the_report_refers_to_the_segments_of_its_profile(written: Callable[[str], Made], name: str) -> None:
    every = written(name)
    report, segs = dcmread(every.report), [dcmread(path) for path in every.segs.values()]
    named = {(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in _segment_references(report)}
    assert named == {(one.SOPClassUID, one.SOPInstanceUID) for one in segs}
    if WRITTEN[name] in LABELS:
        # Who has an archive or a reader by DCMTK of 2022 is told by the how-to.
        with pytest.raises(subprocess.CalledProcessError):
            independent.numbers(every.report)
    else:
        assert independent.numbers(every.report) == independent.numbers(written("bits").report)


def _segment_references(item: Dataset) -> list[Dataset]:
    found = [one for one in item.get("ReferencedSOPSequence", []) if "ReferencedSegmentNumber" in one]
    return found + [one for below in item.get("ContentSequence", []) for one in _segment_references(below)]


@pytest.mark.parametrize("form", SegForm)
def test_findings_without_a_segment_are_reported_all_the_same(
    written: Callable[[str], Made], tmp_path: Path, form: SegForm
) -> None:
    wanted = frozenset({Finding.GROUND_GLASS, Finding.CONSOLIDATION})
    every = made(Profile(form, findings=wanted), tmp_path)
    ((role, path),) = every.segs.items()
    assert role.startswith("disease seg")
    assert role.endswith("ground glass, consolidation")
    found, ours = read_by_highdicom(path), masks()
    assert list(found) == ["Ground glass opacity", "Consolidation"]
    for label, mask in found.items():
        np.testing.assert_array_equal(mask, ours[label])
    assert report_errors(every.report) == []
    assert len(_segment_references(dcmread(every.report))) == 2
    assert numbers(dcmread(every.report)) == numbers(dcmread(written("bits").report))


def numbers(report: Dataset) -> list[tuple[str, str, str]]:
    """Return every number of an SR with the tracking UID of its group and its concept."""
    found = []
    for group in report.ContentSequence[-1].ContentSequence:
        items = group.ContentSequence
        (uid,) = (one.UID for one in items if one.ConceptNameCodeSequence[0].CodeValue == "112040")
        measured = (one for one in items if one.ValueType == "NUM")
        for one in measured:
            name, value = one.ConceptNameCodeSequence[0].CodeValue, one.MeasuredValueSequence[0].NumericValue
            found.append((uid, name, str(value)))
    return found


def test_labels_of_a_multi_frame_ct_name_its_frames(tmp_path: Path) -> None:
    whole = multi_frame.enhanced(CT.datasets()[::-1])
    whole.save_as(tmp_path / "whole.dcm", enforce_file_format=True)
    read = series.read([tmp_path / "whole.dcm"])
    numbers = tuple(one.frame for one in read.slices)
    one = ResultSource(read.volume, read.headers, "k" * 64, CREATED, MAKER, numbers)
    part, *_ = WRITTEN["labels"].parts
    written = dcmread(save(seg.encode(one, segments.of(part), *CT.masks()), tmp_path / "seg.dcm"))
    for groups in written.PerFrameFunctionalGroupsSequence:
        (item,) = groups.DerivationImageSequence[0].SourceImageSequence
        assert item.ReferencedSOPInstanceUID == whole.SOPInstanceUID
        height = float(groups.PlanePositionSequence[0].ImagePositionPatient[2])
        assert 2.5 * (12 - int(item.ReferencedFrameNumber)) - 100 == pytest.approx(height)
