"""The benchmark of the audit asks every question of the page, of a site that it made."""

from tests.bench import audit


def test_every_question_is_asked_of_a_generated_site() -> None:
    found = audit.measured(series=400, images=2, rounds=1)
    rows = {row["question"]: row["rows"] for row in found["questions"]}
    assert len(rows) >= 20
    asked = ("What waits for a person?", "Whose name or number was corrected?", "Where did the result go?")
    # Of 400 series two each are in review, refused by the archive, corrected.
    assert [rows[question] for question in asked] == ["4", "2", "4"]
    assert rows["Is there a hole in the events?"] == "0"
    assert found["growth"][-1]["table"] == "all"
