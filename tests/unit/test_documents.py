"""Documents that name files: what they name is there, and what is there is named."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import REPOSITORY, services

SITE = REPOSITORY / "compose" / "mkdocs.yml"
# What a browser would fetch from elsewhere without being asked.
FETCHED = re.compile(
    r"<(?:script|img|iframe|link)[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*>|url\([\"']?https?:[^)]*\)"
)
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


def pages_in(navigation: object) -> Iterator[str]:
    if isinstance(navigation, str):
        yield navigation
    for one in (
        navigation.values() if isinstance(navigation, dict) else navigation if isinstance(navigation, list) else ()
    ):
        yield from pages_in(one)


def test_every_page_stands_in_the_navigation_once() -> None:
    listed = sorted(pages_in(yaml.safe_load(SITE.read_text(encoding="utf-8"))["nav"]))
    docs = REPOSITORY / "docs"
    pages = [path.relative_to(docs).as_posix() for path in docs.rglob("*.md") if not path.name.startswith("00")]
    assert listed == sorted(pages)


def test_the_site_of_documents_builds_and_fetches_nothing(tmp_path: Path) -> None:
    services.tool("material")
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-f", str(SITE), "-d", str(tmp_path)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(build, check=False, env=quiet, capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")
    texts = [path.read_text(encoding="utf-8") for kind in ("*.html", "*.css") for path in tmp_path.rglob(kind)]
    assert len(texts) > 60
    assert FETCHED.search('<link rel="preconnect" href="https://fonts.example" crossorigin>')
    assert [found for text in texts for found in FETCHED.findall(text)] == []
