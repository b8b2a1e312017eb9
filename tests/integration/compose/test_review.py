"""What a person sees of results that wait for review, before one is released or discarded."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.engine import open_database
from tests.integration.db.test_operators import in_review
from tests.integration.db.test_tracking import NOW
from tests.support import databases
from tests.support.command import run
from tests.support.ct import TinyCT
from tests.support.results import source
from tests.unit.worker.results.test_page import shown
from worker.results import files, page, page_object


@pytest.fixture
def url(tmp_path: Path) -> str:
    return databases.sqlite(tmp_path / "rows.db")


@pytest.fixture
def sessions(url: str) -> Iterator[sessionmaker[Session]]:
    maker = open_database(url)
    yield maker
    maker.kw["bind"].dispose()


def test_the_list_says_what_waits_and_why(url: str, sessions: sessionmaker[Session]) -> None:
    assert "no result waits for review" in run("review", "list", DB_URL=url).stdout
    job_id = in_review(sessions)
    said = run("review", "list", DB_URL=url).stdout
    assert f"     {job_id}  review" in said
    assert "implausible_lung_volume: the lungs hold 12 l" in said


def test_one_result_is_shown_with_its_files_and_what_may_be_done(url: str, sessions: sessionmaker[Session]) -> None:
    job_id = in_review(sessions)
    said = run("review", "show", str(job_id), DB_URL=url).stdout
    assert "implausible_lung_volume: the lungs hold 12 l" in said
    assert "seg: seg.dcm" in said
    for command in ("release", "discard", "recompute"):
        assert f"scleroscan {command} {job_id}" in said


def test_the_page_becomes_a_picture_for_whoever_decides(
    url: str, sessions: sessionmaker[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = in_review(sessions)
    written = files.write_object(tmp_path, "page", page_object.encode(source(TinyCT()), page.frames(shown())))
    monkeypatch.setattr("db.tracking.result_files.output_paths", lambda *_: [("page", str(written.path))])
    out = tmp_path / "page.png"
    assert str(out) in run("review", "show", str(job_id), "--page", str(out), DB_URL=url).stdout
    picture = Image.open(out)
    assert picture.size == (1024, 3 * 1200)
    assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 50


def test_a_job_that_does_not_wait_for_review_is_said_to_be_so(url: str, sessions: sessionmaker[Session]) -> None:
    job_id = in_review(sessions)
    with sessions.begin() as session:
        tracking.discard(session, job_id, "operator:test", NOW)
    refused = run("review", "show", str(job_id), DB_URL=url)
    assert refused.returncode == 1
    assert "does not wait for review" in refused.stderr
