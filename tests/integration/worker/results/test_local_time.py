"""Dates and times of SEG and SR: local, with their offset from UTC, as the images have it or as the machine has it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset

from tests.support import independent
from tests.support.ct import TinyCT
from tests.support.results import CREATED, encoded, save

OF_THE_STUDY = {"StudyDate", "StudyTime", "PatientBirthDate"}
# CREATED is 2 January 2026, 03:04:05 UTC.
ZONES = {"Asia/Tehran": ("+0330", "20260102", "063405"), "America/St_Johns": ("-0330", "20260101", "233405")}


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Move the machine to a zone whose offset is no whole hour."""
    name: str = request.param
    with monkeypatch.context() as patched:
        patched.setenv("TZ", name)
        time.tzset()
        if f"{CREATED.astimezone():%z}" != ZONES[name][0]:
            pytest.skip("the system has no time zones: apt-get install tzdata")
        yield name
    time.tzset()


def times(result: Dataset) -> dict[str, set[str]]:
    """Return every date and time of an object, at any depth, by keyword."""
    found: dict[str, set[str]] = {}
    for element in result.iterall():
        if element.VR in {"DA", "TM", "DT"}:
            found.setdefault(element.keyword, set()).add(str(element.value))
    return found


def made(day: str, moment: str, offset: str) -> dict[str, set[str]]:
    """Return what an object made at one moment has to say."""
    kinds = ("InstanceCreation", "Content", "Series")
    dates = {f"{kind}Date": {day} for kind in kinds} | {f"{kind}Time": {moment} for kind in kinds}
    return dates | {"ContributionDateTime": {f"{day}{moment}{offset}"}}


def of_the_job(result: Dataset) -> dict[str, set[str]]:
    return {keyword: values for keyword, values in times(result).items() if keyword not in OF_THE_STUDY}


def test_times_are_those_of_the_machine_with_its_offset(zone: str, tmp_path: Path) -> None:
    offset, day, moment = ZONES[zone]
    for number, result in enumerate(encoded(TinyCT())):
        assert result.TimezoneOffsetFromUTC == offset
        assert of_the_job(result) == made(day, moment, offset)
        written = f"{result.ContentDate}{result.ContentTime}{result.TimezoneOffsetFromUTC}"
        assert datetime.strptime(written, "%Y%m%d%H%M%S%z").astimezone(UTC) == CREATED
        assert independent.validator_errors(save(result, tmp_path / f"{number}.dcm")) == []


def test_the_offset_of_the_images_goes_before_the_machines(zone: str, tmp_path: Path) -> None:
    ct = TinyCT(changes={"TimezoneOffsetFromUTC": "+0545"})
    for number, result in enumerate(encoded(ct)):
        assert result.TimezoneOffsetFromUTC == "+0545"
        assert of_the_job(result) == made("20260102", "084905", "+0545")
        assert independent.validator_errors(save(result, tmp_path / f"{number}.dcm")) == []


@pytest.mark.parametrize("nonsense", ["", "Tehran", "+3:30", "+9900"])
def test_an_offset_that_is_none_gives_way_to_the_machine(zone: str, nonsense: str) -> None:
    for result in encoded(TinyCT(changes={"TimezoneOffsetFromUTC": nonsense})):
        assert result.TimezoneOffsetFromUTC == ZONES[zone][0]


def test_a_repeat_of_the_job_writes_the_same_bytes(zone: str, tmp_path: Path) -> None:
    first, again = (
        [save(o, tmp_path / f"{n}.dcm").read_bytes() for n, o in enumerate(encoded(TinyCT()))] for _ in "12"
    )
    assert first == again
