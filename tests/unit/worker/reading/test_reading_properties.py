"""Whatever is legal is read back, voxel by voxel; whatever is damaged is refused; nothing crashes or hangs.

``pytest --hypothesis-profile=thorough`` draws 2,000 examples of each instead of 40.
"""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from tests.support import REPOSITORY, ct_files, multi_frame
from tests.support.ct_files import NATIVE
from tests.support.legal_series import SYNTAXES, LegalSeries, decimals, legal_series
from worker.errors import InputRejected
from worker.reading import series

DOCUMENT = REPOSITORY / "docs" / "reference" / "refusal-codes.md"
CODES = set(re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text().split("## What is read")[0], flags=re.MULTILINE))
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def saved(datasets: list[Dataset], folder: str) -> list[Path]:
    paths = []
    for number, ds in enumerate(datasets):
        paths.append(Path(folder) / f"{number:03d}.dcm")
        implicit, little = NATIVE.get(ds.file_meta.TransferSyntaxUID, (False, True))
        ds.save_as(paths[-1], enforce_file_format=True, implicit_vr=implicit, little_endian=little)
    return paths


def read(datasets: list[Dataset]) -> series.SourceSeries:
    with tempfile.TemporaryDirectory() as folder:
        return series.read(saved(datasets, folder))


@QUIET
@given(drawn=legal_series())
def test_a_legal_series_reads_back_to_equal_hu_and_positions(drawn: LegalSeries) -> None:
    volume = read(drawn.datasets()).volume
    assert np.array_equal(volume.hu, drawn.hu)
    corners = np.array([(z, y, x, 1) for z in (0, -1) for y in (0, -1) for x in (0, -1)]) % (*drawn.hu.shape, 2)
    assert np.abs((volume.affine - drawn.affine) @ corners.T).max() < 0.01
    assert volume.sop_uids == tuple(f"{ct_files.SERIES_UID}.{index + 1}" for index in range(len(drawn.hu)))


Damage = Callable[[list[Dataset], int], None]


def along(by_mm: float) -> Damage:
    return lambda slices, at: setattr(slices[at], "ImagePositionPatient", _moved(slices[at], (0, 0, by_mm)))


def aside(by_mm: float) -> Damage:
    return lambda slices, at: setattr(
        slices[at], "ImagePositionPatient", _moved(slices[at], (0.6 * by_mm, 0.8 * by_mm, 0))
    )


def _moved(ds: Dataset, by_mm: tuple[float, float, float]) -> list[str]:
    return decimals(np.array([float(v) for v in ds.ImagePositionPatient]) + by_mm)


def turned(degrees: float) -> Damage:
    def damage(slices: list[Dataset], at: int) -> None:
        angle = np.radians(degrees)
        across = np.array([float(v) for v in slices[at].ImageOrientationPatient]).reshape(2, 3)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        slices[at].ImageOrientationPatient = decimals((across @ turn.T).ravel())

    return damage


def leaned(degrees: float) -> Damage:
    """All slices lean, as under a tilted gantry, and stay where they are."""

    def damage(slices: list[Dataset], at: int) -> None:
        angle = np.radians(degrees)
        for one in slices:
            across = np.array([float(v) for v in one.ImageOrientationPatient]).reshape(2, 3)
            turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
            one.ImageOrientationPatient = decimals((across @ turn.T).ravel())

    return damage


def lost(slices: list[Dataset], at: int) -> None:
    del slices[at]


def doubled(slices: list[Dataset], at: int) -> None:
    twin = slices[at].copy()
    twin.SOPInstanceUID = f"{twin.SOPInstanceUID}.1"
    slices.append(twin)


def given_as(keyword: str, value: object) -> Damage:
    return lambda slices, at: setattr(slices[at], keyword, value)


def scaled(keyword: str) -> Damage:
    def damage(slices: list[Dataset], at: int) -> None:
        setattr(slices[at], keyword, decimals(1.01 * np.array([float(v) for v in slices[at][keyword].value])))

    return damage


def grown(keyword: str) -> Damage:
    return lambda slices, at: setattr(slices[at], keyword, slices[at][keyword].value + 1)


def absent(keyword: str) -> Damage:
    return lambda slices, at: delattr(slices[at], keyword)


DAMAGES: dict[str, Damage] = {
    "moved up by 0.25 mm": along(0.25),
    "moved down by 0.25 mm": along(-0.25),
    "moved far away": along(7321.5),
    "moved aside by 0.3 mm": aside(0.3),
    "moved aside by 40 mm": aside(40),
    "turned by a tenth of a degree": turned(0.1),
    "turned by 90 degrees": turned(90),
    "upside down": turned(180),
    "all leaning by a degree": leaned(1),
    "all coronal": leaned(90),
    "lost": lost,
    "doubled": doubled,
    "other pixels": scaled("PixelSpacing"),
    "more rows": grown("Rows"),
    "more columns": grown("Columns"),
    "another frame of reference": given_as("FrameOfReferenceUID", "1.2.3"),
    "of another series": given_as("SeriesInstanceUID", "1.2.3"),
    "position at infinity": given_as("ImagePositionPatient", ["1e300", "1e300", "1e300"]),
    "no orientation": absent("ImageOrientationPatient"),
    "no position": absent("ImagePositionPatient"),
    "no pixel spacing": absent("PixelSpacing"),
    "a direction that is none": given_as("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
}


@pytest.mark.parametrize("name", DAMAGES)
@settings(QUIET, max_examples=max(3, settings().max_examples // len(DAMAGES)))
@given(drawn=legal_series(), data=st.data())
def test_a_series_with_one_fault_of_geometry_is_refused(name: str, drawn: LegalSeries, data: st.DataObject) -> None:
    slices = sorted(drawn.datasets(), key=lambda ds: float(ds.ImagePositionPatient[2]))
    # Without its first or last slice a stack is a shorter stack: no one can tell.
    ends = 1 if name == "lost" else 0
    DAMAGES[name](slices, data.draw(st.integers(ends, len(slices) - 1 - ends)))
    with pytest.raises(InputRejected) as caught:
        read(slices)
    assert caught.value.code in CODES


def whole_files() -> dict[str, list[bytes]]:
    """The files of small series in several encodings, and a multi-frame one, as bytes."""
    found: dict[str, list[bytes]] = {}
    for syntax in (*SYNTAXES, None):
        datasets = ct_files.slices()
        if syntax is None:
            datasets = [multi_frame.compressed(datasets)]
        else:
            for ds in datasets:
                values = np.frombuffer(ds.PixelData, "<u2").astype(np.int64).reshape(16, 24)
                affine = np.eye(4)
                one = LegalSeries(values[None], values[None], affine, ("1", "0"), 12, False, None, syntax, (0,))
                one._put_pixels(ds, values)
        with tempfile.TemporaryDirectory() as folder:
            found[str(syntax)] = [path.read_bytes() for path in saved(datasets, folder)]
    return found


WHOLE = whole_files()


@st.composite
def damaged_file(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """Draw a series, and its sixth file with bytes changed, put in, cut out, or cut off."""
    files = WHOLE[draw(st.sampled_from(sorted(WHOLE)))]
    content = bytearray(files[min(5, len(files) - 1)])
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(["change", "change", "change", "put in", "cut out", "cut off"]))
        if kind == "change" and content:
            content[at] = draw(st.integers(0, 255))
        elif kind == "put in":
            content[at:at] = draw(st.binary(max_size=40))
        elif kind == "cut out":
            del content[at : at + draw(st.integers(1, 200))]
        elif kind == "cut off" and draw(st.integers(0, 4)) == 0:
            del content[at:]
    return files, bytes(content)


def outcome(paths: list[Path]) -> str:
    """Return ``read`` for a volume of the right size, or the code of the refusal."""
    try:
        volume = series.read(paths).volume
    except InputRejected as refused:
        return refused.code
    return "read" if volume.hu.shape[1:] == (16, 24) else str(volume.hu.shape)


@QUIET
@given(drawn=damaged_file())
def test_a_damaged_file_ends_in_a_volume_or_a_documented_code(drawn: tuple[list[bytes], bytes]) -> None:
    files, damaged = drawn
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number:03d}.dcm" for number in range(len(files))]
        for number, (path, content) in enumerate(zip(paths, files, strict=True)):
            path.write_bytes(damaged if number == min(5, len(files) - 1) else content)
        assert outcome(paths) in CODES | {"read"}


@QUIET
@given(frame=st.binary(max_size=400), syntax=st.sampled_from([*SYNTAXES[4:], JPEGBaseline8Bit, ExplicitVRLittleEndian]))
def test_any_bytes_in_the_place_of_pixels_end_in_a_code(frame: bytes, syntax: str) -> None:
    datasets = ct_files.slices()
    for ds in datasets:
        ds.file_meta = multi_frame.FileMetaDataset()
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
            ds.SOPClassUID,
            ds.SOPInstanceUID,
        )
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = frame if syntax == ExplicitVRLittleEndian else multi_frame.encapsulate([frame or b"\0"])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", syntax != ExplicitVRLittleEndian
    with pytest.raises(InputRejected) as caught:
        read(datasets)
    assert caught.value.code in {"undecodable_pixels", "pixel_bomb"}
