"""SEG and SR: bound to their source, repeatable, and honest about what they are."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset

from tests.support.ct import TinyCT
from tests.support.results import FLAGS, MAKER, STATEMENT, encoded, source
from worker.analysis.records import PatternMap, Quantity
from worker.results import codes, numbers, picture, seg, segments, uids

CT = TinyCT()


@pytest.fixture(scope="module")
def objects() -> tuple[Dataset, ...]:
    return encoded(CT)


def test_the_same_job_writes_the_same_uids(objects: tuple[Dataset, ...]) -> None:
    again = encoded(CT)
    assert [o.SOPInstanceUID for o in again] == [o.SOPInstanceUID for o in objects]
    assert [o.SeriesInstanceUID for o in again] == [o.SeriesInstanceUID for o in objects]


def test_another_job_writes_other_objects() -> None:
    assert source(CT, "a" * 64).uid("seg") != source(CT, "b" * 64).uid("seg")


def test_objects_lie_in_the_study_each_in_a_series_of_its_own(objects: tuple[Dataset, ...]) -> None:
    header = CT.datasets()[0]
    assert {o.StudyInstanceUID for o in objects} == {header.StudyInstanceUID}
    assert len({header.SeriesInstanceUID, *(o.SeriesInstanceUID for o in objects)}) == 4


def test_disease_and_lungs_are_two_objects_and_say_which(objects: tuple[Dataset, ...]) -> None:
    disease, lungs, report = objects
    assert [one.SegmentLabel for one in disease.SegmentSequence] == [
        "Ground glass opacity",
        "Reticulation",
        "Consolidation",
    ]
    assert [one.SegmentLabel for one in lungs.SegmentSequence] == ["Left lung", "Right lung"]
    assert [one.SeriesDescription.partition(" (")[0] for one in objects] == [
        "ILD disease",
        "ILD lungs",
        "ILD measurements",
    ]
    assert sorted(objects, key=lambda one: one.SeriesNumber) == [report, lungs, disease]
    assert (disease.SegmentsOverlap, lungs.SegmentsOverlap) == ("NO", "NO")


@pytest.mark.parametrize(
    ("number", "thousand"),
    [(None, 7000), ("", 7000), ("3", 7000), ("7000", 8000), ("3000566", 3001000), (str(2**31 - 1), 7000)],
)
def test_viewers_list_what_was_made_behind_the_ct(number: str | None, thousand: int) -> None:
    objects = encoded(TinyCT(changes={"SeriesNumber": number}))
    assert [one.SeriesNumber for one in objects] == [thousand + 6, thousand + 3, thousand + 2]


def test_one_object_may_hold_both_with_the_disease_first() -> None:
    both = seg.encode(source(CT), segments.ALL, *CT.masks())
    labels = [(one.SegmentNumber, one.SegmentLabel) for one in both.SegmentSequence]
    assert labels[0] == (1, "Ground glass opacity")
    assert labels[3:] == [(4, "Left lung"), (5, "Right lung")]
    assert both.SegmentsOverlap == "YES"


MASKS = {
    "Left lung": CT.masks()[0].labels == 2,
    "Right lung": CT.masks()[0].labels == 1,
    "Ground glass opacity": CT.masks()[1].labels == 1,
    "Reticulation": CT.masks()[1].labels == 2,
    "Consolidation": CT.masks()[1].labels == 3,
}


@pytest.mark.parametrize("content", [segments.DISEASE, segments.OUTLINE, segments.ALL], ids=lambda one: one.role)
def test_every_frame_names_the_slice_it_was_drawn_on(content: segments.Content) -> None:
    segmentation = seg.encode(source(CT), content, *CT.masks())
    masks = {one.SegmentNumber: MASKS[one.SegmentLabel] for one in segmentation.SegmentSequence}
    slices = {uid: index for index, uid in enumerate(CT.volume().sop_uids)}
    frames = segmentation.PerFrameFunctionalGroupsSequence
    assert len(frames) == sum(int(mask.any(axis=(1, 2)).sum()) for mask in masks.values())
    for pixels, frame in zip(segmentation.pixel_array, frames, strict=True):
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        uid = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert (pixels == masks[number][slices[uid]]).all()


def test_the_report_refers_to_each_segment_where_it_is(objects: tuple[Dataset, ...]) -> None:
    *segs, report = objects
    labels = {(o.SOPInstanceUID, one.SegmentNumber): one.TrackingUID for o in segs for one in o.SegmentSequence}
    referred = {}
    for group in report.iterall():
        if group.keyword == "ContentSequence":
            tracked = [one.UID for one in group.value if one.ValueType == "UIDREF"]
            for one in group.value:
                item = one.ReferencedSOPSequence[0] if one.ValueType == "IMAGE" else {}
                if "ReferencedSegmentNumber" in item:
                    referred[item.ReferencedSOPInstanceUID, item.ReferencedSegmentNumber] = tracked[0]
    assert referred == labels
    assert len(referred) == 5


def test_lungs_carry_their_laterality_and_every_segment_a_colour(objects: tuple[Dataset, ...]) -> None:
    modifiers = [
        s.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning
        for s in objects[1].SegmentSequence
    ]
    assert modifiers == ["Left", "Right"]
    colours = [tuple(s.RecommendedDisplayCIELabValue) for o in objects[:2] for s in o.SegmentSequence]
    assert len(set(colours)) == 5


def test_an_absent_pattern_keeps_its_segment_without_frames() -> None:
    found = CT.masks()[1].labels
    segmentation, *_ = encoded(CT, PatternMap(np.where(found == 2, 0, found).astype(np.uint8)))
    assert [s.SegmentNumber for s in segmentation.SegmentSequence] == [1, 2, 3]
    numbers = {
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for frame in segmentation.PerFrameFunctionalGroupsSequence
    }
    assert numbers == {1, 3}


def test_a_healthy_lung_has_an_object_of_one_empty_slice() -> None:
    segmentation, *_ = encoded(CT, PatternMap(np.zeros((CT.slices, CT.rows, CT.columns), np.uint8)))
    assert segmentation.NumberOfFrames == 3
    assert not segmentation.pixel_array.any()


def test_a_patient_keeps_the_tracking_uids_from_study_to_study() -> None:
    assert uids.tracking("P1", "", "1.2", "reticulation") == uids.tracking("P1", "", "1.3", "reticulation")
    assert uids.tracking("P1", "", "1.2", "reticulation") != uids.tracking("P2", "", "1.2", "reticulation")
    assert uids.tracking("P1", "A", "1.2", "reticulation") != uids.tracking("P1", "B", "1.2", "reticulation")
    assert uids.tracking("", "", "1.2", "reticulation") != uids.tracking("", "", "1.3", "reticulation")


def texts(report: Dataset) -> list[str]:
    """Return every text of an SR, at any depth."""
    return [str(element.value) for element in report.iterall() if element.keyword == "TextValue"]


def test_seg_and_sr_say_what_the_card_of_their_model_says(objects: tuple[Dataset, ...]) -> None:
    assert texts(objects[-1]).count(STATEMENT) == 9
    for result in objects:
        assert "research)" in result.SeriesDescription
        assert STATEMENT in [item.get("ContributionDescription") for item in result.ContributingEquipmentSequence]


def test_the_report_says_what_speaks_against_it(objects: tuple[Dataset, ...]) -> None:
    concepts = [element.value for element in objects[-1].iterall() if element.keyword == "LongCodeValue"]
    assert concepts == [flag.code for flag in FLAGS]


def groups(report: Dataset) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (tracking identifier, [(name, number with unit)]) of each measurement group, in order."""
    container = next(item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010")
    return [
        (next(item.TextValue for item in group.ContentSequence if item.ValueType == "TEXT"), list(_numbers(group)))
        for group in container.ContentSequence
    ]


def _numbers(group: Dataset) -> Iterator[tuple[str, str]]:
    for item in group.ContentSequence:
        if item.ValueType == "NUM":
            value = item.MeasuredValueSequence[0]
            unit = value.MeasurementUnitsCodeSequence[0].CodeValue
            yield item.ConceptNameCodeSequence[0].CodeMeaning, f"{value.NumericValue} {unit}"


def test_the_total_comes_first_then_patterns_then_lungs(objects: tuple[Dataset, ...]) -> None:
    assert [name.removeprefix("Scleroscan ") for name, _ in groups(objects[-1])][:9] == [
        "interstitial disease",
        "ground glass",
        "reticulation",
        "consolidation",
        "interstitial disease left",
        "interstitial disease right",
        "both lungs",
        "left lung",
        "right lung",
    ]
    assert groups(objects[-1])[0][1][0][0] == codes.EXTENT.meaning


@pytest.mark.parametrize(
    ("quantity", "value", "said"),
    [
        (Quantity.EXTENT, 0.2249, "0.2"),
        (Quantity.EXTENT, 12.35, "12.3"),
        (Quantity.VOLUME, 1782.418, "1782"),
        (Quantity.VOLUME, 3.4567, "3.5"),
        (Quantity.MEAN_ATTENUATION, -863.26, "-863"),
    ],
)
def test_numbers_are_rounded_as_people_read_them(quantity: Quantity, value: float, said: str) -> None:
    assert str(numbers.measurement(quantity, value)[0].MeasuredValueSequence[0].NumericValue) == said


def test_the_acquisition_equipment_is_the_scanner() -> None:
    *_, report = encoded(TinyCT(changes={"Manufacturer": "ACME", "ManufacturerModelName": "Scan 64"}))
    made = [
        (item.PurposeOfReferenceCodeSequence[0].CodeMeaning, item.Manufacturer)
        for item in report.ContributingEquipmentSequence
    ]
    assert [maker for purpose, maker in made if purpose == "Acquisition Equipment"] == ["ACME"]
    assert ("Processing Equipment", "Scleroscan") in made


def test_seg_and_sr_name_the_model_by_version_and_origin(objects: tuple[Dataset, ...]) -> None:
    *segs, report = objects
    for segment in (one for o in segs for one in o.SegmentSequence):
        assert segment.SegmentAlgorithmName == MAKER.model
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (MAKER.model, "0.1.0/1")
    # The device that observed once, the algorithm of each of the nine groups.
    assert texts(report).count(MAKER.model) == 10
    for result in objects:
        assert MAKER.model in [item.get("ManufacturerModelName") for item in result.ContributingEquipmentSequence]


def test_a_longer_name_is_cut_to_what_an_attribute_holds() -> None:
    lungs, patterns = CT.masks()
    long = replace(source(CT), maker=replace(MAKER, model="a" * 60 + " 1 (labelled)"))
    segmentation = seg.encode(long, segments.DISEASE, lungs, patterns)
    assert segmentation.SegmentSequence[0].SegmentAlgorithmName == "a" * 60 + " 1 ("


def test_the_contact_sheet_says_what_the_card_says() -> None:
    sheets = [picture.contact_sheet(CT.volume(), *CT.masks(), said, 4) for said in (STATEMENT, "Trained on nothing.")]
    footers = [np.asarray(sheet)[-picture.FOOTER :] for sheet in sheets]
    assert not np.array_equal(*footers)


def test_the_device_changes_with_the_model() -> None:
    assert source(CT).device_uid == source(CT, "z" * 64).device_uid
    assert source(CT).maker.model_digest[:8] in source(CT).device_serial_number


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientName": "محمدی^سارا", "SpecificCharacterSet": "ISO_IR 192"},
        {"PatientName": None, "PatientID": None, "PatientBirthDate": None, "PatientSex": None},
        {"AccessionNumber": None, "StudyID": None, "StudyDate": None, "StudyTime": None},
        {"SliceThickness": None},
    ],
)
def test_odd_headers_still_give_objects(changes: dict[str, object]) -> None:
    segmentation, _, report = encoded(TinyCT(changes=changes))
    if changes.get("PatientName"):
        assert segmentation.PatientName == report.PatientName == changes["PatientName"]
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    assert float(shared.PixelMeasuresSequence[0].SliceThickness) == 2.5


def test_the_headers_of_the_source_stay_as_they_are() -> None:
    one = replace(source(TinyCT(changes={"SliceThickness": ""})), frames=tuple(range(1, CT.slices + 1)))
    before = deepcopy(one.headers)
    assert one.images[0].SliceThickness
    assert one.images[0].SOPInstanceUID != before[0].SOPInstanceUID
    assert one.headers == before


def test_the_contact_sheet_colours_disease_on_the_right_side() -> None:
    lungs, patterns = CT.masks()
    overlay = np.asarray(picture.overlay(CT.volume(), lungs, patterns, 3)).astype(int)
    # More red than green and than blue: the outline of the right lung is purple.
    reddish = (overlay[..., :1] - overlay[..., 1:] > 50).all(axis=-1).nonzero()
    assert 18 <= reddish[1].min() <= reddish[1].max() < 24
    assert picture.contact_sheet(CT.volume(), lungs, patterns, STATEMENT, 4).width > 3 * picture.TILE
