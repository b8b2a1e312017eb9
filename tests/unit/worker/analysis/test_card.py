"""The model card: what a model is called, and what is said of it wherever its results go."""

from typing import Any

import pytest

from worker import packaged_model
from worker.analysis import card
from worker.settings import PACKAGED_WEIGHTS

RESEARCH_USE = "research use only; not clinically validated."


def test_the_shipped_model_is_named_for_its_task_and_origin() -> None:
    shipped = card.read(PACKAGED_WEIGHTS)
    assert card.title(shipped) == "ssc-ild-unet 4 (synthetic)"
    assert shipped["digest"] == packaged_model.DIGEST
    for_people = PACKAGED_WEIGHTS.with_suffix(".md").read_text(encoding="utf-8")
    assert for_people.startswith(f"# Model card: {card.title(shipped)}\n\n**{card.statement(shipped)}**\n")


def test_the_shipped_model_says_that_its_lesions_are_computed() -> None:
    said = card.statement(card.read(PACKAGED_WEIGHTS))
    assert said.startswith("Trained on computed lesions")
    assert said.endswith(f"; {RESEARCH_USE}")


@pytest.mark.parametrize(
    ("written", "begins"),
    [
        ({"training_data": "labelled data of 9 patients"}, "Trained on labelled data of 9 patients; "),
        ({"training_data": "x", "intended_use": "diagnosis", "statement": "validated"}, "Trained on x; "),
        ({}, "Training data not stated; "),
    ],
)
def test_no_card_can_say_more_than_research_use(written: dict[str, Any], begins: str) -> None:
    assert card.statement(written) == begins + RESEARCH_USE


def test_a_card_without_origin_is_called_by_name_and_version() -> None:
    assert card.title({"name": "unet", "version": "7"}) == "unet 7"
