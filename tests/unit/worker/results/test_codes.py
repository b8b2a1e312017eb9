"""Every code means what it says, by pydicom's own dictionaries of PS3.16."""

from highdicom.sr.coding import CodedConcept
from pydicom.sr import _concepts_dict

from worker.results import codes

# Units and our own concepts stand in no dictionary; LOINC's are not shipped with pydicom.
# A finding of SNOMED CT itself, in no context group that pydicom ships.
SNOMED_ALONE = {"95436008": "Lung consolidation"}
WITHOUT_DICTIONARY = {"UCUM", "LN", codes.PRIVATE_SCHEME}
# Meanings that the Standard writes otherwise in a context group than in its dictionary of concepts.
OTHER_WORDS = {"386136009": "Standard deviation"}


def all_codes() -> dict[str, CodedConcept]:
    return {name: value for name, value in vars(codes).items() if isinstance(value, CodedConcept)}


def meanings(scheme: str, value: str) -> set[str]:
    """Return the meanings that pydicom knows for a code value."""
    return {
        meaning.lower().removesuffix(" (qualifier value)")
        for by_value in _concepts_dict.concepts[scheme].values()
        for known, (meaning, _) in by_value.items()
        if known == value
    }


def test_every_code_has_the_meaning_that_the_standard_gives_it() -> None:
    unknown = {}
    for name, code in all_codes().items():
        if code.scheme_designator in WITHOUT_DICTIONARY:
            continue
        found = meanings(code.scheme_designator, code.value)
        known = found | {words.get(code.value, "").lower() for words in (OTHER_WORDS, SNOMED_ALONE)}
        if code.meaning.lower() not in known:
            unknown[name] = (code.value, code.meaning, found)
    assert unknown == {}


def test_no_code_value_stands_for_two_things() -> None:
    values = [(code.scheme_designator, code.value) for code in all_codes().values()]
    assert len(values) == len(set(values))


def test_the_algorithm_is_not_called_manual_processing() -> None:
    assert codes.ARTIFICIAL_INTELLIGENCE.value == "123110"
