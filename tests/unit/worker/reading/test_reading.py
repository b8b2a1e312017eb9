"""Reading small computed series from files: every voxel is where the scene has it, or the refusal says why not."""

import contextlib
import copy
import json
import logging
import random
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, config
from pydicom.dataelem import DataElement
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
)

from tests.support import REPOSITORY, ct_files
from tests.support.ct_files import Scan, places, scene, slices, store, write
from worker.errors import InputRejected
from worker.reading import headers, series
from worker.reading import slices as opened
from worker.reading.pixels import codestream, hounsfield, storage

SUPINE = Scan()
SCANS = {
    "supine": SUPINE,
    "prone": Scan(first_mm=(12.0, 11.0, -130.0), along_columns=(-1.0, 0.0, 0.0), along_rows=(0.0, -1.0, 0.0)),
    "head to feet": Scan(first_mm=(-12.0, -11.0, -102.5), along_slices=(0.0, 0.0, -1.0)),
    "feet first": Scan(first_mm=(12.0, -11.0, -130.0), along_columns=(-1.0, 0.0, 0.0)),
    "decubitus": Scan(first_mm=(-11.0, 12.0, -130.0), along_columns=(0.0, -1.0, 0.0), along_rows=(1.0, 0.0, 0.0)),
    "columns and rows swapped": Scan(
        first_mm=(-11.0, -12.0, -130.0), along_columns=(0.0, 1.0, 0.0), along_rows=(1.0, 0.0, 0.0)
    ),
}
Spoil = Callable[[list[Dataset]], None]
# pydicom cannot tell how to write a transfer syntax that it does not know.
ENCODING = {"1.2.3.4": {"implicit_vr": False, "little_endian": True}}


def read(folder: Path, datasets: list[Dataset], transfer_syntax: str | None = None) -> series.SourceSeries:
    syntax = {} if transfer_syntax is None else {"transfer_syntax": transfer_syntax}
    return series.read(write(folder, datasets, **syntax))


def refusal(paths: list[Path]) -> tuple[str, dict[str, Any]]:
    with pytest.raises(InputRejected) as caught:
        series.read(paths)
    return caught.value.code, caught.value.detail


@pytest.mark.parametrize("name", SCANS)
def test_every_voxel_lies_where_the_scene_has_it(tmp_path: Path, name: str) -> None:
    datasets = slices(SCANS[name])
    random.Random(7).shuffle(datasets)
    volume = read(tmp_path, datasets).volume
    assert volume.hu.dtype == np.int16
    assert np.array_equal(volume.hu, scene(places(volume)))
    assert volume.affine[2, 0] > 0
    assert set(np.unique(volume.hu)) == {ct_files.AIR, ct_files.WATER, ct_files.BONE}


def test_rows_and_columns_stay_as_in_the_source(tmp_path: Path) -> None:
    volume = read(tmp_path, slices()).volume
    assert volume.hu.shape == SUPINE.shape
    assert volume.spacing_mm == pytest.approx(SUPINE.spacing_mm)
    assert volume.affine @ (0, 0, 0, 1) == pytest.approx((*SUPINE.first_mm, 1))
    assert volume.affine @ (0, 2, 3, 1) == pytest.approx((-9.0, -8.0, -130.0, 1))


def test_headers_come_in_slice_order_and_without_pixels(tmp_path: Path) -> None:
    source = read(tmp_path, slices()[::-1])
    assert tuple(h.SOPInstanceUID for h in source.headers) == source.volume.sop_uids
    assert [h.InstanceNumber for h in source.headers] == list(range(1, 13))
    assert not any("PixelData" in h for h in source.headers)
    assert [copy.deepcopy(h) for h in source.headers] == list(source.headers)


def test_a_source_names_its_series_study_and_kernel(tmp_path: Path) -> None:
    source = read(tmp_path, slices())
    assert (source.series_uid, source.study_uid) == (ct_files.SERIES_UID, ct_files.STUDY_UID)
    assert (source.convolution_kernel, source.volume.slice_thickness_mm) == ("B70f", 2.5)
    assert source.volume.frame_of_reference_uid == ct_files.FRAME_UID
    assert (source.set_aside, source.flags) == ((), ())


@pytest.mark.parametrize(
    "transfer_syntax",
    [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, JPEGLSLossless, RLELossless],
)
def test_every_lossless_encoding_gives_the_same_volume(tmp_path: Path, transfer_syntax: str) -> None:
    volume = read(tmp_path, slices(), transfer_syntax).volume
    assert np.array_equal(volume.hu, scene(places(volume)))


@pytest.mark.parametrize(
    "stored_as",
    [
        {"slope": 0.5, "intercept": -1024.0, "bits": 16},
        {"slope": 2.0, "intercept": -1024.0},
        {"slope": 1.0, "intercept": 0.0, "signed": True},
        {"slope": 1.0, "intercept": -8192.0, "bits": 16},
        {"slope": 1.0, "intercept": 24.0, "signed": True, "bits": 16},
    ],
    ids=str,
)
def test_stored_values_become_hounsfield_units(tmp_path: Path, stored_as: dict[str, Any]) -> None:
    datasets = slices()
    truth = np.arange(-1024, -1024 + 16 * 24 * 4, 4).reshape(16, 24)
    for ds in datasets:
        store(ds, truth, **stored_as)
    assert (read(tmp_path, datasets).volume.hu == truth).all()


def test_a_fractional_slope_gives_hu_rounded_to_the_nearest_unit(tmp_path: Path) -> None:
    datasets = slices()
    stored = np.arange(16 * 24).reshape(16, 24)
    for ds in datasets:
        store(ds, stored * 0.7 - 1000, slope=0.7, intercept=-1000.0, bits=16)
    off = read(tmp_path, datasets).volume.hu - (stored * 0.7 - 1000)
    assert np.abs(off).max() <= 0.5
    assert off.max() > 0.25
    assert off.min() < -0.25


def test_every_slice_has_a_slope_of_its_own(tmp_path: Path) -> None:
    datasets = slices()
    truth = [np.full((16, 24), 10 * number) for number in range(12)]
    for number, ds in enumerate(datasets):
        store(ds, truth[number], slope=(1.0, 0.5, 2.0)[number % 3], bits=16)
    assert np.array_equal(read(tmp_path, datasets).volume.hu, truth)


def test_bits_above_those_stored_do_not_leak_into_the_values(tmp_path: Path) -> None:
    datasets = slices()
    for ds in datasets:
        junk = np.frombuffer(ds.PixelData, "<u2") | 0xF000
        ds.PixelData = junk.tobytes()
    volume = read(tmp_path, datasets).volume
    assert np.array_equal(volume.hu, scene(places(volume)))


def with_stored(datasets: list[Dataset], value: int, signed: bool, **attributes: int) -> None:
    """Give the first row of every slice one stored value, and every slice more attributes."""
    for ds in datasets:
        store(ds, np.zeros((16, 24)), intercept=0.0 if signed else -1024.0, bits=16, signed=signed)
        stored = np.frombuffer(ds.PixelData, "<i2" if signed else "<u2").reshape(16, 24).copy()
        stored[0] = value
        ds.PixelData = stored.tobytes()
        for keyword, attribute in attributes.items():
            ds.add(DataElement(keyword, "SS" if signed else "US", attribute))


@pytest.mark.parametrize(
    ("stored", "signed", "attributes"),
    [
        (-2000, True, {"PixelPaddingValue": -2000}),
        (-3024, True, {}),
        (63536, False, {"PixelPaddingValue": 63536}),
        (900, False, {"PixelPaddingValue": 900}),
        (905, False, {"PixelPaddingValue": 900, "PixelPaddingRangeLimit": 910}),
        (-3, True, {"PixelPaddingValue": 5, "PixelPaddingRangeLimit": -5}),
    ],
    ids=str,
)
def test_padding_and_what_lies_below_air_become_minus_1024(
    tmp_path: Path, stored: int, signed: bool, attributes: dict[str, int]
) -> None:
    datasets = slices()
    with_stored(datasets, stored, signed, **attributes)
    if attributes.get("PixelPaddingRangeLimit") == -5:
        for ds in datasets:
            ds.PixelData = np.where(np.frombuffer(ds.PixelData, "<i2") == 0, 40, -3).astype("<i2").tobytes()
    hu = read(tmp_path, datasets).volume.hu
    assert (hu[:, 0] == -1024).all()
    assert (hu[:, 1:] > -100).all()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_padding_is_found_in_implicit_and_in_swapped_bytes(tmp_path: Path, syntax: str) -> None:
    datasets = slices()
    with_stored(datasets, 900, False, PixelPaddingValue=900)
    hu = read(tmp_path, datasets, syntax).volume.hu
    assert (hu[:, 0] == -1024).all()
    assert (hu[:, 1:] > -100).all()


def test_a_padding_value_of_the_other_sign_is_still_padding(tmp_path: Path) -> None:
    datasets = slices()
    with_stored(datasets, -2000, True)
    for ds in datasets:
        ds.RescaleIntercept = "2000"
        ds.add(DataElement("PixelPaddingValue", "US", 63536))
    hu = read(tmp_path, datasets).volume.hu
    assert (hu[:, 0] == -1024).all()
    assert (hu[:, 1:] == 2000).all()


def test_values_beyond_sixteen_bits_are_clipped_not_wrapped(tmp_path: Path) -> None:
    datasets = slices()
    with_stored(datasets, 65535, False)
    assert (read(tmp_path, datasets).volume.hu[:, 0] == 32767).all()


def stray(sop_class: str, *image_type: str, number: int = 1) -> Dataset:
    """An object of the same series that is no slice."""
    ds = slices()[0]
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, f"{ct_files.ROOT}.9.{number}"
    ds.ImageType = list(image_type)
    ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    return ds


def test_localizers_and_sheets_are_set_aside_with_their_reason(tmp_path: Path) -> None:
    ct = ct_files.CTImageStorage
    screenshot = stray(ct, "DERIVED", "SECONDARY", "SCREEN SAVE", number=7)
    del screenshot.ImagePositionPatient
    strays = [
        stray(ct, "ORIGINAL", "PRIMARY", "LOCALIZER", number=1),
        stray(ct, "DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT", number=2),
        stray(SecondaryCaptureImageStorage, "DERIVED", "SECONDARY", number=3),
        stray(XRayRadiationDoseSRStorage, number=4),
        stray(ComprehensiveSRStorage, number=5),
        stray(ct, "ORIGINAL", "PRIMARY", "LOCALIZER", number=6),
        screenshot,
    ]
    source = read(tmp_path, [*strays[:3], *slices(), *strays[3:]])
    volume = source.volume
    assert np.array_equal(volume.hu, scene(places(volume)))
    assert [(one.sop_uid[-1], one.reason) for one in source.set_aside] == [
        ("1", "localizer"),
        ("2", "dose_sheet"),
        ("3", "secondary_capture"),
        ("4", "dose_sheet"),
        ("5", "not_ct_image"),
        ("6", "localizer"),
        ("7", "secondary_capture"),
    ]
    assert [(one.code, one.value) for one in source.flags] == [
        ("dose_sheet_set_aside", 2),
        ("localizer_set_aside", 2),
        ("not_ct_image_set_aside", 1),
        ("secondary_capture_set_aside", 2),
    ]


def test_a_series_of_localizers_holds_no_ct(tmp_path: Path) -> None:
    localizers = [stray(ct_files.CTImageStorage, "ORIGINAL", "PRIMARY", "LOCALIZER", number=i) for i in range(2)]
    assert refusal(write(tmp_path, localizers)) == ("not_ct", {"set_aside": {"localizer": 2}})


def test_quality_flags_of_the_source_travel_with_it(tmp_path: Path) -> None:
    datasets = slices()
    for number, ds in enumerate(datasets):
        ds.FrameOfReferenceUID = f"{ct_files.FRAME_UID}.{number + 1}"
        ds.ImageType, ds.LossyImageCompression = ["DERIVED", "PRIMARY", "AXIAL"], "01"
    source = read(tmp_path, datasets)
    assert [(one.code, one.value) for one in source.flags] == [
        ("frame_of_reference_per_slice", 12),
        ("lossy_compression", 12),
        ("derived_pixels", 12),
    ]


def each(**attributes: object) -> Spoil:
    def spoil(datasets: list[Dataset]) -> None:
        for ds in datasets:
            for keyword, value in attributes.items():
                setattr(ds, keyword, value)

    return spoil


def without(keyword: str) -> Spoil:
    def spoil(datasets: list[Dataset]) -> None:
        for ds in datasets:
            delattr(ds, keyword)

    return spoil


def one_slice(**attributes: object) -> Spoil:
    return lambda datasets: each(**attributes)(datasets[5:6])


def doubled(datasets: list[Dataset]) -> None:
    other = copy.deepcopy(datasets[4])
    other.SOPInstanceUID += ".1"
    datasets.append(other)


def of_two_hospitals(datasets: list[Dataset]) -> None:
    each(IssuerOfPatientID="CANARY A")(datasets)
    one_slice(IssuerOfPatientID="CANARY B")(datasets)


def localizer_of_another(datasets: list[Dataset]) -> None:
    other = copy.deepcopy(datasets[4])
    other.SOPInstanceUID += ".1"
    each(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], PatientID="CANARYOTHER")([other])
    datasets.append(other)


def with_lookup_table(datasets: list[Dataset]) -> None:
    for ds in datasets:
        table = Dataset()
        table.LUTDescriptor, table.ModalityLUTType, table.LUTData = [2, 0, 16], "US", b"\0\0\1\0"
        table["LUTData"].VR = "OW"
        ds.ModalityLUTSequence = [table]


def cut_pixels(datasets: list[Dataset]) -> None:
    datasets[5].PixelData = datasets[5].PixelData[:-64]


REFUSED: dict[str, tuple[Spoil, str]] = {
    "a slice is missing": (lambda d: d.pop(4) and None, "missing_slices"),
    "a slice is doubled": (doubled, "duplicate_positions"),
    "a slice is moved along": (one_slice(ImagePositionPatient=[-12, -11, -116.5]), "irregular_spacing"),
    "a slice is moved sideways": (one_slice(ImagePositionPatient=[-15, -11, -117.5]), "shifted_slices"),
    "nine slices": (lambda d: d.__delitem__(slice(9, None)), "too_few_slices"),
    "tilt": (each(ImageOrientationPatient=["1", "0", "0", "0", "0.9998477", "0.0174524"]), "gantry_tilt"),
    "coronal": (each(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "not_axial"),
    "one slice turned": (one_slice(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "mixed_geometry"),
    "no frame of reference": (without("FrameOfReferenceUID"), "no_frame_of_reference"),
    "two frames of reference": (one_slice(FrameOfReferenceUID="1.2.3"), "several_frames_of_reference"),
    "position is no number": (one_slice(ImagePositionPatient=[1, 2]), "no_geometry"),
    "MONOCHROME1": (each(PhotometricInterpretation="MONOCHROME1"), "not_hounsfield"),
    "no slope": (without("RescaleSlope"), "not_hounsfield"),
    "slope of zero": (one_slice(RescaleSlope="0"), "not_hounsfield"),
    "no intercept": (without("RescaleIntercept"), "not_hounsfield"),
    "another unit": (each(RescaleType="Z_EFF"), "not_hounsfield"),
    "a look-up table": (with_lookup_table, "not_hounsfield"),
    "MPR": (each(ImageType=["DERIVED", "PRIMARY", "AXIAL", "CSA MPR"]), "derived_image"),
    "MIP": (each(ImageType=["DERIVED", "SECONDARY", "MIP"]), "derived_image"),
    "derived and secondary": (each(ImageType=["DERIVED", "SECONDARY", "AXIAL"]), "derived_image"),
    "another series": (one_slice(SeriesInstanceUID="1.2.3"), "mixed_series"),
    "another study": (one_slice(StudyInstanceUID="1.2.3"), "several_studies"),
    "another patient": (one_slice(PatientID="CANARYOTHER"), "several_patients"),
    "a patient without ID": (one_slice(PatientID=""), "several_patients"),
    "a patient of another hospital": (of_two_hospitals, "several_patients"),
    "a localizer of another patient": (localizer_of_another, "several_patients"),
    "no UID": (without("SOPInstanceUID"), "no_identity"),
    "magnetic resonance": (each(SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR"), "not_ct"),
    "enhanced without frames": (each(SOPClassUID=EnhancedCTImageStorage), "no_geometry"),
    "a huge matrix": (each(Rows=65535, Columns=65535), "pixel_bomb"),
    "more than the file holds": (each(Rows=2048, Columns=2048), "pixel_bomb"),
    "many frames": (each(NumberOfFrames=1000), "pixel_bomb"),
    "colour": (each(SamplesPerPixel=3), "pixel_bomb"),
    "pixels cut off": (cut_pixels, "undecodable_pixels"),
    "more pixels than rows and columns": (lambda d: setattr(d[5], "PixelData", bytes(1024)), "undecodable_pixels"),
    "no pixels": (lambda d: d[5].__delattr__("PixelData"), "undecodable_pixels"),
    "bits at the upper end": (one_slice(HighBit=15), "undecodable_pixels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_gives_its_code_and_never_a_name(tmp_path: Path, name: str) -> None:
    spoil, code = REFUSED[name]
    datasets = slices()
    each(PatientName="CANARY^NAME", PatientID="CANARYID", AccessionNumber="CANARYACC")(datasets)
    spoil(datasets)
    with pytest.raises(InputRejected) as caught:
        series.read(write(tmp_path, datasets))
    refused = caught.value
    assert (refused.code, bool(refused.detail)) == (code, True)
    assert re.fullmatch(r"[A-Z0-9][^\n]*\.", str(refused))
    assert "CANARY" not in f"{refused} {refused.detail}"
    assert json.loads(json.dumps(refused.detail)) == refused.detail


def test_patients_and_studies_are_counted_not_named(tmp_path: Path) -> None:
    datasets = slices()
    one_slice(PatientID="CANARYOTHER", StudyInstanceUID="1.2.3")(datasets)
    paths = write(tmp_path, datasets)
    assert refusal(paths) == ("several_studies", {"studies": 2, "received": 12})
    one_slice(StudyInstanceUID=ct_files.STUDY_UID)(datasets)
    assert refusal(write(tmp_path, datasets)) == ("several_patients", {"patients": 2, "issuers": 0, "received": 12})


def test_another_name_or_no_issuer_is_no_other_patient(tmp_path: Path) -> None:
    datasets = slices()
    each(IssuerOfPatientID="HOSPITAL")(datasets)
    one_slice(PatientName="Phantom^", IssuerOfPatientID="")(datasets)
    assert read(tmp_path, datasets).volume.hu.shape == SUPINE.shape


def test_a_missing_slice_is_named_by_its_neighbour(tmp_path: Path) -> None:
    datasets = slices()
    del datasets[4]
    _, detail = refusal(write(tmp_path, datasets[::-1]))
    assert detail["gaps"] == [
        {"after_sop_uid": f"{ct_files.SERIES_UID}.4", "position_mm": -122.5, "gap_mm": 5.0, "missing": 1}
    ]


def test_undecodable_pixels_name_slice_and_transfer_syntax(tmp_path: Path) -> None:
    datasets = slices()
    paths = write(tmp_path, datasets, JPEGLSLossless)
    frame = get_frame(datasets[3].PixelData, 0, number_of_frames=1)
    datasets[3].PixelData = encapsulate([frame[: len(frame) // 4 * 2]])
    datasets[3].save_as(paths[3], enforce_file_format=True)
    code, detail = refusal(paths)
    assert code == "undecodable_pixels"
    assert detail["sop_uid"] == datasets[3].SOPInstanceUID
    assert detail["transfer_syntax"] == JPEGLSLossless


def test_a_frame_size_unlike_the_header_is_refused_undecoded(tmp_path: Path) -> None:
    datasets = slices()
    paths = write(tmp_path, datasets, JPEGLSLossless)
    frame = bytearray(get_frame(datasets[3].PixelData, 0, number_of_frames=1))
    at = frame.index(b"\xff\xf7") + 5
    frame[at : at + 4] = b"\xff\xff\xff\xff"
    datasets[3].PixelData = encapsulate([bytes(frame)])
    datasets[3].save_as(paths[3], enforce_file_format=True)
    code, detail = refusal(paths)
    assert (code, detail["rows"], detail["columns"]) == ("pixel_bomb", 65535, 65535)


def test_a_compressed_frame_says_its_size_before_it_is_decoded() -> None:
    jpeg = b"\xff\xd8\xff\xe0\x00\x04\xff\xc0\xff\xff\xc1\x00\x0b\x0c\x01\x00\x02\x00\x01\x01\x11\x00"
    j2k = b"\xff\x4f\xff\x51" + struct.pack(">2H8IH", 41, 0, 512 + 3, 256 + 7, 3, 7, 0, 0, 0, 0, 1)
    jp2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n" + j2k
    assert [codestream.declared_size(frame) for frame in (jpeg, j2k, jp2)] == [(256, 512, 1)] * 3


@pytest.mark.parametrize(
    "frame", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\xff\xff", b"\xff\x4f\xff\x51\x00", b"\x01" * 64]
)
def test_a_frame_without_a_size_has_none(frame: bytes) -> None:
    assert codestream.declared_size(frame) is None


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, "1.2.840.10008.1.2.4.53", "1.2.3.4"])
def test_a_transfer_syntax_without_decoder_is_refused(tmp_path: Path, syntax: str) -> None:
    datasets = slices()
    paths = write(tmp_path, datasets, RLELossless)
    datasets[0].file_meta.TransferSyntaxUID = syntax
    datasets[0].save_as(paths[0], enforce_file_format=True, **ENCODING.get(syntax, {}))
    assert refusal(paths)[0] == "undecodable_pixels"


def test_an_oversized_stack_is_refused_before_memory_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "LARGEST_VOLUME_BYTES", 9000)
    code, detail = refusal(write(tmp_path, slices()))
    assert (code, detail["needed_bytes"]) == ("pixel_bomb", 12 * 16 * 24 * 2)


def test_a_deflated_bomb_is_refused_before_it_is_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "LARGEST_INFLATED_BYTES", 4096)
    datasets = slices()
    store(datasets[0], np.zeros((200, 200)))
    paths = write(tmp_path, datasets, DeflatedExplicitVRLittleEndian)
    assert paths[0].stat().st_size < 4096
    code, detail = refusal(paths)
    assert (code, detail["largest_bytes"]) == ("pixel_bomb", 4096)


@pytest.mark.parametrize("content", [b"", b"no DICOM at all", b"\0" * 128 + b"DICM"])
def test_what_is_no_dicom_file_is_unreadable(tmp_path: Path, content: bytes) -> None:
    paths = write(tmp_path, slices())
    paths[2].write_bytes(content)
    code, detail = refusal(paths)
    assert code in {"unreadable_file", "no_identity"}
    assert detail["file"] == "0002.dcm"


def test_a_file_cut_anywhere_is_refused_never_filled_up(tmp_path: Path) -> None:
    paths = write(tmp_path, slices())
    whole = paths[6].read_bytes()
    for size in range(0, len(whole), 97):
        paths[6].write_bytes(whole[:size])
        with pytest.raises(InputRejected):
            series.read(paths)


def test_damaged_bytes_give_a_series_or_a_refusal_never_a_crash(tmp_path: Path) -> None:
    paths = write(tmp_path, slices())
    whole = paths[6].read_bytes()
    dice = random.Random(20260101)
    for _ in range(15):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[dice.randrange(128, 1300)] = dice.randrange(256)
        paths[6].write_bytes(damaged)
        with contextlib.suppress(InputRejected):
            assert series.read(paths).volume.hu.shape == SUPINE.shape


def test_a_missing_file_is_a_disk_error_not_a_refusal(tmp_path: Path) -> None:
    paths = write(tmp_path, slices())
    paths[3].unlink()
    with pytest.raises(FileNotFoundError):
        series.read(paths)


def test_invalid_header_values_are_counted_once_and_never_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    datasets = slices()
    for ds in datasets:
        ds.add(DataElement("PatientBirthDate", "DA", "1960CANARY", validation_mode=config.IGNORE))
        ds.add(DataElement("PatientID", "LO", "CANARY" * 20, validation_mode=config.IGNORE))
        ds.add(DataElement("DeviceUID", "UI", "1.2.CANARY", validation_mode=config.IGNORE))
    with config.disable_value_validation():
        paths = write(tmp_path, datasets)
    with caplog.at_level(logging.DEBUG):
        source = series.read(paths)
    assert source.headers[0].PatientBirthDate == "1960CANARY"
    records = [record for record in caplog.records if record.name == "worker.reading.headers"]
    assert [record.warnings for record in records] == [{"UserWarning": 2}]
    assert "CANARY" not in str([vars(record) for record in caplog.records])


def test_one_slice_can_be_read_alone(tmp_path: Path) -> None:
    path = write(tmp_path, slices(replace(SUPINE, shape=(1, 16, 24))))[0]
    target = np.empty((16, 24), np.int16)
    hounsfield.read_slice(*opened.split(headers.read(path)), target)
    assert set(np.unique(target)) == {ct_files.AIR, ct_files.WATER, ct_files.BONE}


def codes_in_the_source() -> set[str]:
    text = "".join(path.read_text() for path in (REPOSITORY / "worker" / "reading").rglob("*.py"))
    return set(re.findall(r'code="(\w+)"', text))


def documented_codes() -> set[str]:
    table = (REPOSITORY / "docs" / "reference" / "refusal-codes.md").read_text()
    return set(re.findall(r"^\| `(\w+)` \|", table.split("## What is read")[0], flags=re.MULTILINE))


def test_refusal_codes_and_their_documentation_are_the_same_set() -> None:
    assert codes_in_the_source() == documented_codes()


def test_every_refusal_code_is_seen_in_a_test() -> None:
    elsewhere = {"several_stacks", "not_chest"}  # test_stacks.py, test_chest.py
    seen = {code for _, code in REFUSED.values()} | {"unreadable_file"} | elsewhere
    assert seen == codes_in_the_source()


def test_every_set_aside_reason_and_quality_flag_is_documented() -> None:
    document = (REPOSITORY / "docs" / "reference" / "refusal-codes.md").read_text()
    text = "".join((REPOSITORY / "worker" / "reading" / name).read_text() for name in ("series.py", "originals.py"))
    codes = set(re.findall(r'QualityFlag\("(\w+)"', text)) | set(re.findall(r'return "(\w+)"', text))
    codes |= set(re.findall(r'SetAside\([^)]*\), "(\w+)"\)|SetAside\(one.sop_uid, "(\w+)"\)', text)[0]) - {""}
    assert {"localizer", "lossy_compression", "computed_image"} <= codes
    assert not {code for code in codes if f"`{code}`" not in document}
