"""Documents that name files: what they name is there, and what is there is named."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DECISIONS = REPOSITORY / "docs" / "decisions"
CONTRIBUTING = REPOSITORY / "CONTRIBUTING.md"
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def documents() -> list[Path]:
    return [REPOSITORY / "README.md", CONTRIBUTING, *sorted((REPOSITORY / "docs").rglob("*.md"))]


def test_every_decision_stands_in_the_index_under_its_title() -> None:
    rows = re.findall(r"^\| (\d+) \| \[(.+)\]\((.+)\) \|$", (DECISIONS / "README.md").read_text(), flags=re.MULTILINE)
    records = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")
    assert [name for _, _, name in rows] == [path.name for path in records]
    for (number, title, _), path in zip(rows, records, strict=True):
        heading = path.read_text(encoding="utf-8").splitlines()[0]
        assert path.name.startswith(f"{int(number):04d}-")
        assert heading == f"# {number}. {title}"


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    missing = [
        link for link in LINK.findall(document.read_text(encoding="utf-8")) if not (document.parent / link).exists()
    ]
    assert missing == []


def test_every_test_that_a_document_names_is_there() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^ *def (test_\w+)\(", tests, re.MULTILINE))
    named = {
        (path.name, name)
        for path in documents()
        for name in re.findall(r"`(test_\w*[a-z0-9])`", path.read_text(encoding="utf-8"))
    }
    assert len([name for page, name in named if page == "threat-model.md"]) > 30
    assert sorted((page, name) for page, name in named if name not in there) == []


def test_contributing_names_files_and_targets_that_are_there() -> None:
    text = CONTRIBUTING.read_text(encoding="utf-8")
    paths = re.findall(r"`((?:worker|db|dicom_node|compose|tests|docs)/[\w/.*-]+)`", text)
    assert len(paths) > 10
    assert [path for path in paths if not list(REPOSITORY.glob(path))] == []
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([\w-]+)`", text):
        assert f"\n{target}:" in makefile, target


def test_contributing_is_one_page() -> None:
    assert len(CONTRIBUTING.read_text(encoding="utf-8").splitlines()) <= 70
