"""The geometry gate on header values alone: what it accepts, and each reason to refuse with its numbers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from tests.support import ct_files
from worker.errors import InputRejected
from worker.reading.geometry import gate, placement
from worker.reading.geometry.placement import TRAITS, Placement

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def column(count: int = 20, step_mm: float = 2.5) -> list[Placement]:
    """A regular axial stack from feet to head."""
    return [
        Placement(
            sop_uid=f"1.2.{index}",
            frame_of_reference_uid="1.9",
            rows=512,
            columns=512,
            spacing_mm=(0.7, 0.7),
            orientation=AXIAL,
            position_mm=(-170.0, -160.0, -300.0 + index * step_mm),
            traits=("1",) * len(TRAITS),
        )
        for index in range(count)
    ]


def moved(slices: Sequence[Placement], shifts_mm: Sequence[float], axis: int = 2) -> list[Placement]:
    """Shift each slice along one axis of the patient."""
    out = []
    for one, shift in zip(slices, shifts_mm, strict=True):
        position = list(one.position_mm)
        position[axis] += shift
        out.append(replace(one, position_mm=tuple(position)))
    return out


def turned(slices: Sequence[Placement], orientation: Sequence[float]) -> list[Placement]:
    return [replace(one, orientation=tuple(orientation)) for one in slices]


def rotated_about_x(degrees: float) -> tuple[float, ...]:
    angle = np.radians(degrees)
    return (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle)))


def refusal(slices: Sequence[Placement]) -> tuple[str, dict[str, Any]]:
    with pytest.raises(InputRejected) as caught:
        gate.stack(slices)
    return caught.value.code, caught.value.detail


def test_a_regular_stack_is_placed_by_its_headers() -> None:
    stack = gate.stack(column())
    assert stack.order == tuple(range(20))
    assert stack.affine @ (0, 0, 0, 1) == pytest.approx((-170, -160, -300, 1))
    assert stack.affine @ (19, 10, 100, 1) == pytest.approx((-100, -153, -252.5, 1))


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(20)))
def test_slices_run_from_feet_to_head_whatever_their_order(order: list[int]) -> None:
    slices = column()
    stack = gate.stack([slices[i] for i in order])
    assert [order[i] for i in stack.order] == list(range(20))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-0.03, 0.03), min_size=20, max_size=20))
def test_jitter_of_thirty_micrometres_is_accepted(shifts: list[float]) -> None:
    stack = gate.stack(moved(column(), shifts))
    predicted = [(stack.affine @ (i, 0, 0, 1))[2] for i in range(20)]
    assert predicted == pytest.approx([-300 + 2.5 * i for i in range(20)], abs=0.1)


def test_positions_rounded_to_a_tenth_millimetre_are_accepted() -> None:
    rounded = [round(i * 0.625, 1) - i * 0.625 for i in range(200)]
    affine = gate.stack(moved(column(200, 0.625), rounded)).affine
    assert affine[2, 0] == pytest.approx(0.625, abs=1e-3)


def test_orientation_jitter_of_one_in_a_million_is_accepted() -> None:
    slices = column()
    slices[7] = replace(slices[7], orientation=(1.0, 1e-6, 0.0, -1e-6, 1.0, 0.0))
    assert len(gate.stack(slices).order) == 20


def test_orientation_jitter_of_one_in_a_thousand_is_refused() -> None:
    slices = column()
    slices[7] = replace(slices[7], orientation=(1.0, 1e-3, 0.0, -1e-3, 1.0, 0.0))
    code, detail = refusal(slices)
    assert code == "mixed_geometry"
    assert [group["slices"] for group in detail["groups"]] == [19, 1]


@pytest.mark.parametrize("other", [{"rows": 256}, {"columns": 256}, {"spacing_mm": (0.7, 0.8)}])
def test_two_image_sizes_or_spacings_are_refused(other: dict[str, Any]) -> None:
    slices = column()
    slices[3:9] = [replace(one, **other) for one in slices[3:9]]
    code, detail = refusal(slices)
    assert code == "mixed_geometry"
    assert [group["slices"] for group in detail["groups"]] == [14, 6]


@pytest.mark.parametrize(("orientation", "angle"), [(CORONAL, 90.0), (SAGITTAL, 90.0), (rotated_about_x(60), 60.0)])
def test_another_plane_is_refused_even_as_a_single_slice(orientation: Sequence[float], angle: float) -> None:
    for count in (1, 20):
        code, detail = refusal(turned(column(count), orientation))
        assert code == "not_axial"
        assert detail["angle_to_axial_degrees"] == pytest.approx(angle)


def test_nine_slices_are_too_few_and_ten_are_enough() -> None:
    assert refusal(column(9)) == ("too_few_slices", {"slices": 9, "fewest": 10})
    assert len(gate.stack(column(10)).order) == 10


@pytest.mark.parametrize("degrees", [-12.0, -1.0, 1.0, 12.0])
def test_a_tilted_gantry_is_refused_with_its_angle(degrees: float) -> None:
    code, detail = refusal(turned(column(), rotated_about_x(degrees)))
    assert code == "gantry_tilt"
    assert detail["tilt_degrees"] == pytest.approx(abs(degrees), abs=0.01)


def test_a_sheared_stack_of_axial_slices_is_refused_as_tilted() -> None:
    code, detail = refusal(moved(column(), [i * 2.5 * np.tan(np.radians(3)) for i in range(20)], axis=1))
    assert code == "gantry_tilt"
    assert detail["tilt_degrees"] == pytest.approx(3.0, abs=0.01)


def test_a_tilt_below_half_a_degree_is_kept_in_the_affine() -> None:
    slices = moved(column(200), [i * 2.5 * np.tan(np.radians(0.4)) for i in range(200)], axis=1)
    affine = gate.stack(slices).affine
    assert affine @ (199, 0, 0, 1) == pytest.approx((*slices[-1].position_mm, 1))


def test_an_oblique_stack_without_tilt_is_not_axial() -> None:
    orientation = rotated_about_x(5)
    normal = np.cross(orientation[:3], orientation[3:])
    slices = [
        replace(one, orientation=orientation, position_mm=tuple(i * 2.5 * normal)) for i, one in enumerate(column())
    ]
    code, detail = refusal(slices)
    assert code == "not_axial"
    assert detail["angle_to_axial_degrees"] == pytest.approx(5.0)


def test_missing_slices_are_named_with_their_place() -> None:
    slices = column()
    del slices[12:15], slices[5]
    code, detail = refusal(slices)
    assert code == "missing_slices"
    assert (detail["missing"], detail["received"], detail["step_mm"]) == (4, 16, 2.5)
    assert detail["gaps"] == [
        {"after_sop_uid": "1.2.4", "position_mm": -290.0, "gap_mm": 5.0, "missing": 1},
        {"after_sop_uid": "1.2.11", "position_mm": -272.5, "gap_mm": 10.0, "missing": 3},
    ]


def test_no_more_than_twenty_gaps_are_listed() -> None:
    slices = column(100)
    code, detail = refusal([one for i, one in enumerate(slices) if i % 3])
    assert code == "missing_slices"
    assert len(detail["gaps"]) == 20
    assert detail["missing"] == 32


def test_a_gap_of_fractional_steps_is_irregular_not_missing() -> None:
    code, detail = refusal(moved(column(), [0.0] * 10 + [1.3] * 10))
    assert code == "irregular_spacing"
    assert detail == {"usual_mm": 2.5, "smallest_mm": 2.5, "largest_mm": 3.8, "uneven": 1, "steps_mm": [3.8]}


def test_a_spacing_that_changes_half_way_is_irregular() -> None:
    code, detail = refusal(moved(column(), [0.0] * 10 + [0.7 * i for i in range(10)]))
    assert code == "irregular_spacing"
    assert detail["uneven"] == 9


def test_a_creeping_spacing_of_tolerable_steps_is_irregular() -> None:
    code, _ = refusal(moved(column(200, 1.0), [0.0] * 100 + [0.08 * i for i in range(100)]))
    assert code == "irregular_spacing"


def test_every_second_slice_missing_in_half_a_stack_is_refused() -> None:
    slices = column(31)
    assert refusal(slices[:10] + slices[10::2])[0] in {"missing_slices", "irregular_spacing"}


def test_doubled_slices_are_refused_with_what_tells_them_apart() -> None:
    slices = column()
    other = [replace(one, sop_uid=f"{one.sop_uid}.1", traits=("1", "B30f", *one.traits[2:])) for one in slices]
    code, detail = refusal(slices + other)
    assert code == "duplicate_positions"
    assert (detail["duplicates"], detail["received"], detail["differ_in"]) == (20, 40, ["ConvolutionKernel"])


def test_slices_that_all_lie_at_one_place_are_doubled() -> None:
    code, detail = refusal([replace(one, position_mm=(0.0, 0.0, 0.0)) for one in column()])
    assert code == "duplicate_positions"
    assert detail["duplicates"] == 19


def test_a_slice_shifted_sideways_is_refused() -> None:
    code, detail = refusal(moved(column(), [0.0] * 8 + [4.0] + [0.0] * 11, axis=0))
    assert code == "shifted_slices"
    assert detail == {"shifted": 1, "largest_mm": 4.0, "sop_uids": ["1.2.8"]}


def test_a_series_without_frame_of_reference_is_refused() -> None:
    slices = column()
    slices[4] = replace(slices[4], frame_of_reference_uid="")
    assert refusal(slices) == ("no_frame_of_reference", {"slices_without": 1, "received": 20})


def test_two_frames_of_reference_are_refused() -> None:
    slices = column()
    slices[10:] = [replace(one, frame_of_reference_uid="1.8") for one in slices[10:]]
    assert refusal(slices) == ("several_frames_of_reference", {"frames": 2, "received": 20})


def test_a_frame_of_reference_per_slice_splits_no_stack() -> None:
    slices = [replace(one, frame_of_reference_uid=f"1.9.{i}") for i, one in enumerate(column())]
    assert gate.frames_of_reference(slices) == 20
    assert len(gate.stack(slices).order) == 20


def absent(keyword: str) -> Callable[[Dataset], None]:
    return lambda ds: delattr(ds, keyword)


def given_as(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda ds: setattr(ds, keyword, value)


@pytest.mark.parametrize(
    ("spoil", "attribute"),
    [
        (absent("ImagePositionPatient"), "ImagePositionPatient"),
        (given_as("ImagePositionPatient", ["1", "2"]), "ImagePositionPatient"),
        (absent("ImageOrientationPatient"), "ImageOrientationPatient"),
        (given_as("ImageOrientationPatient", [0] * 6), "ImageOrientationPatient"),
        (given_as("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), "ImageOrientationPatient"),
        (given_as("PixelSpacing", ["0", "0.7"]), "PixelSpacing"),
        (given_as("PixelSpacing", "0.7"), "PixelSpacing"),
        (given_as("Rows", 0), "Rows"),
        (absent("Columns"), "Columns"),
    ],
)
def test_a_slice_that_does_not_say_where_it_lies_is_refused(spoil: Callable[[Dataset], None], attribute: str) -> None:
    header = ct_files.slices()[0]
    spoil(header)
    with pytest.raises(InputRejected) as caught:
        placement.read(header)
    assert caught.value.code == "no_geometry"
    assert caught.value.detail == {"attribute": attribute, "sop_uid": header.SOPInstanceUID}
