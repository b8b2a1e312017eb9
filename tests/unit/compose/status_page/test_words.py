"""The words of the status page: those of the reference, for every code and state."""

import re

import pytest

from compose.status_page import next_steps, words
from compose.status_page.extents import extent_bars
from compose.status_page.picture_names import FRAMES
from compose.status_page.way import way
from db.audit import DeliveryStatus, SeriesStatus
from db.states import DeliveryState, JobState, OutputKind, SeriesState
from tests.support import REPOSITORY
from tests.support.audited_site import START

DOCS = REPOSITORY / "docs"


def table(page: str, columns: int) -> list[list[str]]:
    """Return the rows of tables with so many columns whose first holds codes."""
    rows = [line.strip("| ").split(" | ") for line in (DOCS / page).read_text().splitlines() if line.startswith("| `")]
    return [row for row in rows if len(row) == columns]


def codes(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_what_to_do_about_a_refusal_is_what_the_reference_says() -> None:
    said = {code: todo for cell, _, todo in table("reference/refusal-codes.md", 3) for code in codes(cell)}
    assert said == next_steps.REFUSED


def test_every_series_without_a_result_says_what_to_do() -> None:
    stopped = [row for row in table("reference/series-codes.md", 4) if row[1] in ("`incomplete`", "`skipped`")]
    assert {code for row in stopped for code in codes(row[0])} == set(next_steps.SERIES)


def test_every_trouble_of_a_delivery_says_what_to_do() -> None:
    listed = {code for row in table("how-to/destinations.md", 3) for code in codes(row[0])}
    unnamed = {"peer_unreachable", "file_unavailable", "unexpected_error"}
    assert listed - unnamed == set(next_steps.DELIVERY)


def test_every_state_and_kind_has_words() -> None:
    assert set(words.STATES) == {*SeriesState, *JobState}
    assert set(words.KINDS) == set(OutputKind)


def test_what_stops_a_job_without_an_own_code_says_something() -> None:
    for state in (JobState.FAILED, JobState.REVIEW, JobState.REJECTED, SeriesState.INCOMPLETE):
        assert next_steps.for_series(state, "a_code_of_tomorrow")
    assert next_steps.for_series(JobState.DELIVERED, None) == ""
    assert next_steps.for_delivery("a_code_of_tomorrow") == ""


PROOFS = {"sent?": "open", "sent": "not proven"}


def exam(state: str, *deliveries: str, extents: bool = False) -> SeriesStatus:
    sent = tuple(DeliveryStatus("d", one.rstrip("?"), 1, None, None, proof=PROOFS.get(one)) for one in deliveries)
    numbers = {"total": 1.0} if extents else None
    return SeriesStatus("1", "", 1, START, state, 1, state, None, 1, None, None, {}, sent, extents_pct=numbers)


@pytest.mark.parametrize(
    ("one", "places"),
    [
        (exam(SeriesState.RECEIVING), "now ahead ahead ahead ahead"),
        (exam(SeriesState.INCOMPLETE), "done stopped ahead ahead ahead"),
        (exam(SeriesState.SKIPPED), "done ahead ahead ahead ahead"),
        (exam(JobState.QUEUED), "done done now ahead ahead"),
        (exam(JobState.REJECTED), "done done stopped ahead ahead"),
        (exam(JobState.REVIEW, extents=True), "done done done stopped ahead"),
        (exam(JobState.ENCODED, DeliveryState.PENDING, extents=True), "done done done now ahead"),
        (exam(JobState.ENCODED, extents=True), "done done done ahead ahead"),
        (exam(JobState.FAILED, DeliveryState.FAILED, extents=True), "done done done stopped ahead"),
        (exam(JobState.DELIVERED, "sent?", extents=True), "done done done done now"),
        (exam(JobState.DELIVERED, "sent", extents=True), "done done done done ahead"),
        (exam(JobState.DELIVERED, DeliveryState.COMMITTED, DeliveryState.FAILED), "done done done done done"),
    ],
    ids=str,
)
def test_the_way_shows_where_a_series_is(one: SeriesStatus, places: str) -> None:
    assert [step.place for step in way(one)] == places.split()


def test_a_step_that_was_not_taken_is_called_so() -> None:
    assert [step.name for step in way(exam(JobState.REJECTED))] == [
        "received",
        "whole",
        "not measured",
        "sent",
        "proven",
    ]


def test_a_result_that_nobody_gets_is_not_on_its_way() -> None:
    assert words.state_of(exam(JobState.ENCODED, extents=True)) == "measured, sent nowhere"
    assert words.state_of(exam(JobState.ENCODED, DeliveryState.PENDING)) == "measured, being sent"


def test_bars_have_room_for_their_intervals() -> None:
    numbers = {
        ("total", "both", "extent"): 9.0,
        ("total", "both", "extent_lower"): 5.0,
        ("total", "both", "extent_upper"): 12.0,
        ("ggo", "both", "extent"): 3.0,
    }
    found = extent_bars(numbers)
    assert found is not None
    assert (found.scale, found.goh, found.lung_ml) == (25.0, "limited", None)
    assert [(bar.region, bar.interval) for bar in found.bars] == [("total", "5.0 to 12.0"), ("ggo", "")]
    assert extent_bars({("lung", "both", "volume"): 4000.0}) is None


def test_the_page_of_a_result_has_the_frames_that_are_named() -> None:
    assert FRAMES == ("summary", "coronal", "axial")
