"""Enhanced and legacy-converted CT: each frame is a slice."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from tests.support import ct_files, multi_frame
from tests.support.ct_files import Scan, places, scene, slices
from worker.errors import InputRejected
from worker.reading import series


def read(folder: Path, *objects: Dataset) -> series.SourceSeries:
    paths = []
    for number, one in enumerate(objects):
        paths.append(folder / f"{number}.dcm")
        one.save_as(paths[-1], enforce_file_format=True)
    return series.read(paths)


def named() -> list[Dataset]:
    """The slices of the scan, with all that a conversion repeats."""
    datasets = slices()
    for ds in datasets:
        ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.StudyID = "20260101", "120000", "", "1"
        ds.PatientName = "PHANTOM^TINY"
        ds.ReferringPhysicianName, ds.Manufacturer, ds.SeriesNumber = "", "Tests", 1
        ds.PositionReferenceIndicator, ds.KVP = "", "120"
        ds.file_meta = multi_frame.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = multi_frame.ExplicitVRLittleEndian
    return datasets


@pytest.mark.parametrize("make", [multi_frame.enhanced, multi_frame.compressed, multi_frame.converted])
def test_every_frame_lies_where_the_scene_has_it(tmp_path: Path, make: Callable[[list[Dataset]], Dataset]) -> None:
    source = read(tmp_path, make(named()[::-1]))
    volume = source.volume
    assert np.array_equal(volume.hu, scene(places(volume)))
    assert volume.affine[2, 0] == pytest.approx(2.5)
    assert [one.frame for one in source.slices] == list(range(12, 0, -1))
    assert set(volume.sop_uids) == {multi_frame.SOP_UID}
    assert volume.slice_thickness_mm == 2.5


def test_every_frame_has_a_slope_of_its_own(tmp_path: Path) -> None:
    datasets = slices()
    for number, ds in enumerate(datasets):
        ct_files.store(ds, np.full((16, 24), 10 * number), slope=(1.0, 0.5, 2.0)[number % 3], bits=16)
    hu = read(tmp_path, multi_frame.enhanced(datasets)).volume.hu
    assert np.array_equal(hu, np.broadcast_to(10 * np.arange(12)[:, None, None], hu.shape))


def test_what_a_frame_says_overrides_what_is_said_for_all(tmp_path: Path) -> None:
    whole = multi_frame.enhanced(slices())
    everywhere = Dataset()
    everywhere.RescaleSlope, everywhere.RescaleIntercept, everywhere.RescaleType = "3", "500", "HU"
    whole.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [everywhere]
    volume = read(tmp_path, whole).volume
    assert np.array_equal(volume.hu, scene(places(volume)))


def test_a_stack_in_two_multi_frame_objects_is_one_stack(tmp_path: Path) -> None:
    halves = [multi_frame.enhanced(slices()[:7]), multi_frame.enhanced(slices()[7:])]
    halves[1].SOPInstanceUID = halves[1].file_meta.MediaStorageSOPInstanceUID = f"{multi_frame.SOP_UID}.2"
    source = read(tmp_path, *halves)
    assert np.array_equal(source.volume.hu, scene(places(source.volume)))
    assert [one.frame for one in source.slices] == [*range(1, 8), *range(1, 6)]


def test_a_localizer_among_the_frames_is_set_aside(tmp_path: Path) -> None:
    datasets = [*slices(), slices()[0]]
    datasets[-1].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    datasets[-1].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    source = read(tmp_path, multi_frame.enhanced(datasets))
    assert [one.reason for one in source.set_aside] == ["localizer"]
    assert source.volume.hu.shape == Scan().shape


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda whole: whole.PerFrameFunctionalGroupsSequence.pop(4), "no_geometry"),
        (lambda whole: delattr(whole, "PerFrameFunctionalGroupsSequence"), "no_geometry"),
        (lambda whole: delattr(whole.PerFrameFunctionalGroupsSequence[4], "PlanePositionSequence"), "no_geometry"),
        (lambda whole: setattr(whole, "NumberOfFrames", 11), "no_geometry"),
        (lambda whole: setattr(whole, "PixelData", whole.PixelData[:-768]), "undecodable_pixels"),
        (lambda whole: setattr(whole, "Rows", 2000), "pixel_bomb"),
        (lambda whole: setattr(whole, "VolumeBasedCalculationTechnique", "MAX_IP"), "derived_image"),
    ],
    ids=["frame", "groups", "position", "number", "pixels", "rows", "technique"],
)
def test_a_multi_frame_object_that_contradicts_itself_is_refused(
    tmp_path: Path, spoil: Callable[[Dataset], None], code: str
) -> None:
    whole = multi_frame.enhanced(slices())
    spoil(whole)
    with pytest.raises(InputRejected) as caught:
        read(tmp_path, whole)
    assert caught.value.code == code
