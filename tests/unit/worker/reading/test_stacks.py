"""Several stacks in one series: one chest among them is measured and the others are named, two are refused."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from worker.errors import InputRejected
from worker.phantom.acquisition import Protocol
from worker.phantom.chest_ct import Phantom, PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series
from worker.reading import series

Change = Callable[[Dataset], None]
SLICES = 24


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return render(
        PhantomSpec(seed=4, shape=(SLICES, 64, 64), spacing_mm=(12.0, 6.0, 6.0), protocol=Protocol(noise_hu=10))
    )


@pytest.fixture(scope="module")
def chest(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> list[Dataset]:
    paths = write_series(phantom, tmp_path_factory.mktemp("chest"), PhantomIdentity())
    return [dcmread(path) for path in paths]


def another(slices: list[Dataset], *changes: Change, uid: str = "1") -> list[Dataset]:
    """The same slices as objects of their own, changed."""
    copies = copy.deepcopy(slices)
    for one in copies:
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"{one.SOPInstanceUID[:50]}.{uid}"
        for change in changes:
            change(one)
    return copies


def with_(**attributes: object) -> Change:
    def change(one: Dataset) -> None:
        for keyword, value in attributes.items():
            setattr(one, keyword, value)

    return change


def of_water(one: Dataset) -> None:
    one.PixelData = np.full(one.Rows * one.Columns, 1024, "<u2").tobytes()


def moved(x_mm: float = 0.0, z_mm: float = 0.0) -> Change:
    def change(one: Dataset) -> None:
        x, y, z = one.ImagePositionPatient
        one.ImagePositionPatient = [x + x_mm, y, z + z_mm]

    return change


def read(folder: Path, *stacks: list[Dataset]) -> series.SourceSeries:
    paths = []
    for number, one in enumerate(slice_ for stack in stacks for slice_ in stack):
        paths.append(folder / f"{number:04d}.dcm")
        one.save_as(paths[-1])
    return series.read(paths)


def refusal(folder: Path, *stacks: list[Dataset]) -> InputRejected:
    with pytest.raises(InputRejected) as caught:
        read(folder, *stacks)
    return caught.value


OTHER_STACKS: dict[str, tuple[Change, ...]] = {
    "an abdomen at other heights": (of_water, with_(AcquisitionNumber=2), moved(z_mm=-605.3)),
    "water of another kernel at the same heights": (of_water, with_(ConvolutionKernel="B30f")),
    "a smaller field of another acquisition": (of_water, with_(AcquisitionNumber=2, PixelSpacing=[3, 3])),
    "another frame of reference": (of_water, with_(AcquisitionNumber=2, FrameOfReferenceUID="1.2.3")),
    "coronal images of another acquisition": (with_(AcquisitionNumber=2, ImageOrientationPatient=[1, 0, 0, 0, 0, -1]),),
    "a map of iodine": (with_(ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "IODINE"], RescaleType="MGML"),),
}


@pytest.mark.parametrize("name", OTHER_STACKS)
def test_the_one_chest_is_measured_and_other_stacks_are_named(
    tmp_path: Path, chest: list[Dataset], phantom: Phantom, name: str
) -> None:
    other = another(chest, *OTHER_STACKS[name])
    source = read(tmp_path, other, chest)
    assert source.volume.sop_uids == phantom.volume.sop_uids
    assert np.array_equal(source.volume.hu, phantom.volume.hu)
    assert {one.reason for one in source.set_aside} == {"other_stack"}
    assert {one.sop_uid for one in source.set_aside} == {one.SOPInstanceUID for one in other}
    (flag,) = source.flags
    assert (flag.code, flag.value) == ("other_stack_set_aside", SLICES)
    assert f"{SLICES} images of " in flag.text


def test_slices_that_wait_for_the_contrast_agent_are_left_out(tmp_path: Path, chest: list[Dataset]) -> None:
    waiting = [
        one for number in range(15) for one in another(chest[12:13], with_(AcquisitionNumber=7), uid=str(number + 2))
    ]
    source = read(tmp_path, chest, waiting)
    assert source.volume.hu.shape[0] == SLICES
    assert "15 images of AcquisitionNumber 7" in source.flags[0].text


@pytest.mark.parametrize(
    "changes",
    [
        (with_(ConvolutionKernel="B30f"),),
        (with_(AcquisitionNumber=2), moved(x_mm=3.0)),
        (with_(TemporalPositionIdentifier=2, ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "PHASE"]),),
    ],
)
def test_two_chests_in_one_series_are_refused_by_name(
    tmp_path: Path, chest: list[Dataset], changes: tuple[Change, ...]
) -> None:
    refused = refusal(tmp_path, chest, another(chest, *changes))
    assert refused.code == "several_stacks"
    assert [stack["slices"] for stack in refused.detail["stacks"]] == [SLICES, SLICES]
    assert len({stack["declares"] for stack in refused.detail["stacks"]}) == 2


def test_two_kernels_in_each_of_two_phases_are_four_stacks(tmp_path: Path, chest: list[Dataset]) -> None:
    second = with_(TemporalPositionIdentifier=2)
    stacks = [
        chest,
        another(chest, with_(ConvolutionKernel="B30f"), uid="2"),
        another(chest, second, uid="3"),
        another(chest, second, with_(ConvolutionKernel="B30f"), uid="4"),
    ]
    refused = refusal(tmp_path, *stacks)
    assert (refused.code, len(refused.detail["stacks"])) == ("several_stacks", 4)


def test_several_stacks_without_a_chest_show_no_chest(tmp_path: Path, chest: list[Dataset]) -> None:
    stacks = [another(chest, of_water, with_(AcquisitionNumber=n), moved(z_mm=-605.3 * n), uid=str(n)) for n in (2, 3)]
    assert refusal(tmp_path, *stacks).code == "not_chest"


def test_a_stack_of_undeclared_slices_is_not_told_apart(tmp_path: Path, chest: list[Dataset]) -> None:
    assert refusal(tmp_path, chest, another(chest)).code == "duplicate_positions"
    assert refusal(tmp_path, chest, another(chest, with_(PixelSpacing=[3, 3]))).code == "mixed_geometry"


def test_a_damaged_stack_is_not_hidden_by_its_division(tmp_path: Path, chest: list[Dataset]) -> None:
    other = another(chest, with_(ConvolutionKernel="B30f"))
    assert refusal(tmp_path, chest[:10] + chest[11:], other).code == "duplicate_positions"


def test_a_far_end_of_another_acquisition_is_the_same_stack(tmp_path: Path, chest: list[Dataset]) -> None:
    end = another(chest[20:], with_(AcquisitionNumber=2))
    assert refusal(tmp_path, chest[:19], end).code == "missing_slices"


def test_an_acquisition_number_for_every_slice_divides_nothing(tmp_path: Path, chest: list[Dataset]) -> None:
    numbered = copy.deepcopy(chest)
    for number, one in enumerate(numbered):
        one.AcquisitionNumber = number // 2
    assert read(tmp_path, numbered).volume.hu.shape[0] == SLICES
    assert refusal(tmp_path, numbered[:7] + numbered[8:]).code == "missing_slices"


def test_reformats_beside_the_originals_are_set_aside(tmp_path: Path, chest: list[Dataset]) -> None:
    reformats = another(
        chest[:5], with_(ImageType=["DERIVED", "SECONDARY", "MPR"], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    )
    source = read(tmp_path, reformats, chest)
    assert source.volume.hu.shape[0] == SLICES
    assert [(one.code, one.value) for one in source.flags] == [("computed_image_set_aside", 5)]
