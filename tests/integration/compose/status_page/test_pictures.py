"""The pictures of a result come from the files of its job, as they were written, or not at all."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from compose.settings import SiteSettings
from compose.status_page.picture_names import FRAMES
from db import audit
from db.tables import Output
from db.tracking import JobResults, OutputFile, Recipient, record_results
from tests.support import audited_site
from tests.support.audited_site import Site, uid
from tests.support.ct import TinyCT
from tests.support.results import source
from tests.support.status_page import logged_in
from tests.unit.worker.results.test_page import shown
from worker.results import files, page, page_object

Rows = sessionmaker[Session]


@pytest.fixture
def results(site: SiteSettings, rows: Rows) -> Path:
    """A result with a real page and a sheet of overlays."""
    folder = site.worker.results_dir.absolute()
    drawn = page.frames(shown())
    made = (
        files.write_object(folder, "page", page_object.encode(source(TinyCT()), drawn)),
        files.write_picture(folder, "overlay", drawn[1]),
    )
    later = Site(rows)
    later.wait(86400 * 60)
    later.receive(12)
    held = later.claim(12)
    outputs = tuple(OutputFile(one.kind, str(one.path), one.digest, one.sop_uid) for one in made)
    numbers = audited_site.results(held.key, 12.5)
    with rows.begin() as session:
        found = JobResults(numbers.measurements, numbers.flags, outputs, numbers.exam)
        record_results(session, held, found, (Recipient(audited_site.PACS),), later.now)
    return folder


@pytest.mark.parametrize("name", [*FRAMES, "overlay"])
def test_a_picture_is_shown_as_it_was_made(site: SiteSettings, results: Path, name: str) -> None:
    bert = logged_in(site, "bert")
    assert f'src="/exams/{uid(12)}/{name}.png"' in bert.get(f"/exams/{uid(12)}").text
    answer = bert.get(f"/exams/{uid(12)}/{name}.png")
    assert answer.headers["content-type"] == "image/png"
    picture = Image.open(BytesIO(answer.content)).convert("RGB")
    assert len(picture.getcolors(1 << 24)) > 10


def test_the_frames_of_the_page_are_three(site: SiteSettings, results: Path) -> None:
    bert = logged_in(site, "bert")
    assert len({bert.get(f"/exams/{uid(12)}/{name}.png").content for name in FRAMES}) == len(FRAMES) == 3


def test_a_picture_by_itself_is_a_look_too(site: SiteSettings, rows: Rows, results: Path) -> None:
    logged_in(site, "bert").get(f"/exams/{uid(12)}/overlay.png")
    with rows.begin() as session:
        looks = [one["who"] for one in audit.trail(session, uid(12)) if one["code"] == "viewed"]
    assert looks == ["viewer:bert@page"]


def test_a_file_that_was_changed_or_is_gone_is_not_shown(site: SiteSettings, results: Path) -> None:
    bert = logged_in(site, "bert")
    (results / "overlay.png").write_bytes((results / "page.dcm").read_bytes())
    (results / "page.dcm").unlink()
    for name in ("overlay", "summary"):
        answer = bert.get(f"/exams/{uid(12)}/{name}.png")
        assert answer.status_code == 404
        assert "changed since it was written" in answer.text


def test_no_row_makes_it_read_a_file_of_another_folder(site: SiteSettings, rows: Rows, results: Path) -> None:
    outside = results.parent / "outside.png"
    outside.write_bytes((results / "overlay.png").read_bytes())
    for path in (outside, results / ".." / "outside.png"):
        with rows.begin() as session:
            session.execute(update(Output).where(Output.kind == "picture").values(path=str(path)))
        assert logged_in(site, "bert").get(f"/exams/{uid(12)}/overlay.png").status_code == 404
    (results / "link.png").symlink_to(outside)
    with rows.begin() as session:
        session.execute(update(Output).where(Output.kind == "picture").values(path=str(results / "link.png")))
    assert logged_in(site, "bert").get(f"/exams/{uid(12)}/overlay.png").status_code == 404


def test_an_exam_without_files_has_no_pictures(site: SiteSettings) -> None:
    bert = logged_in(site, "bert")
    assert "Pictures" not in bert.get(f"/exams/{uid(2)}").text
    assert bert.get(f"/exams/{uid(2)}/overlay.png").status_code == 404
    assert bert.get(f"/exams/{uid(1)}/..%2F..%2Fsecret.png").status_code == 404
