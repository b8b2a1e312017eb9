"""The statement on the objects beside objects that the pipeline really wrote: every attribute, template and concept."""

import re
from collections.abc import Iterator

import pytest
from pydicom import Dataset
from pydicom.uid import UID

from tests.support import independent, statement
from tests.support.produced import Produced

SECTIONS = {"seg": "7.1", "sr": "7.2", "page": "7.3", "pdf": "7.4", "key_images": "7.5"}
# Type 3, copied where the images have it; the statement says so.
ONLY_WHERE_THE_IMAGES_HAVE_IT = {"StudyDescription"}


def code(item: Dataset) -> tuple[str, str]:
    return str(item.get("CodeValue") or item.get("LongCodeValue")), str(item.CodingSchemeDesignator)


def items(item: Dataset) -> Iterator[Dataset]:
    """Yield a content item and all below it."""
    yield item
    for below in item.get("ContentSequence", []):
        yield from items(below)


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_attribute_is_listed_and_each_listed_is_there(produced: Produced, kind: str) -> None:
    listed = statement.codes(statement.tables(SECTIONS[kind])[0], "attributes")
    assert len(listed) == len(set(listed))
    assert (
        set(listed) | ONLY_WHERE_THE_IMAGES_HAVE_IT
        == {element.keyword for element in produced[kind]} | ONLY_WHERE_THE_IMAGES_HAVE_IT
    )


@pytest.mark.parametrize("kind", SECTIONS)
def test_dicom3tools_finds_no_error_in_what_is_produced(produced: Produced, kind: str) -> None:
    assert independent.validator_errors(produced.paths[kind]) == []


@pytest.mark.parametrize("kind", SECTIONS)
def test_class_encoding_series_and_charset_are_as_listed(produced: Produced, kind: str) -> None:
    dataset, text = produced[kind], statement.PAGE.read_text(encoding="utf-8")
    (body,) = re.findall(rf"^### {SECTIONS[kind]} .*?(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert UID(dataset.file_meta.TransferSyntaxUID).name in body
    assert f"series {dataset.SeriesNumber}" in body
    assert statement.codes(statement.table("5"), "value") == [dataset.SpecificCharacterSet]
    sent = statement.codes(statement.tables("3.8")[0], "UID")
    assert list(SECTIONS).index(kind) == sent.index(dataset.SOPClassUID)


@pytest.mark.parametrize(("kind", "table"), [("seg", 1), ("lungs", 2)])
def test_every_segment_is_as_listed(produced: Produced, kind: str, table: int) -> None:
    assert f"series {produced[kind].SeriesNumber}" in statement.PAGE.read_text(encoding="utf-8")
    for segment, row in zip(produced[kind].SegmentSequence, statement.tables("7.1")[table], strict=True):
        kind, category = segment.SegmentedPropertyTypeCodeSequence[0], segment.SegmentedPropertyCategoryCodeSequence[0]
        sides = [one.CodeMeaning.lower() for one in kind.get("SegmentedPropertyTypeModifierCodeSequence", [])]
        assert row == {
            "segment": f"`{segment.SegmentNumber}`",
            "label": segment.SegmentLabel,
            "category": "`{}` {}".format(*code(category)),
            "type": ", ".join(["`{}` {}".format(*code(kind)), *sides]),
            "algorithm type": segment.SegmentAlgorithmType,
        }


def test_every_template_is_listed_and_each_listed_is_named(produced: Produced) -> None:
    named = {
        str(template.TemplateIdentifier)
        for item in items(produced["sr"])
        for template in item.get("ContentTemplateSequence", [])
    }
    assert sorted(named) == sorted(statement.codes(statement.tables("7.2")[1], "template"))


def test_every_concept_is_listed_and_each_listed_is_used(produced: Produced) -> None:
    used = {
        (*code(name), str(name.CodeMeaning), str(item.ValueType))
        for item in items(produced["sr"])
        for name in item.get("ConceptNameCodeSequence", [])
    }
    rows = statement.tables("7.2")[2]
    listed = {(*statement.CODE.findall(row["code"]), row["scheme"], row["meaning"], row["value type"]) for row in rows}
    assert used == listed
