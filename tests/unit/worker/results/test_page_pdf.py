"""The page as a PDF: valid for others, the same pictures as the page, the same bytes each time."""

import subprocess
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from pydicom import Dataset

from tests.support import independent, services
from tests.support.results import save, source
from tests.unit.worker.results.test_page import CT, shown
from worker.results import page, page_pdf


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    return page.frames(shown())


@pytest.fixture(scope="module")
def made(drawn: list[Image.Image]) -> Dataset:
    return page_pdf.encode(source(CT), drawn)


def test_others_take_out_the_pictures_that_were_drawn(made: Dataset, drawn: list[Image.Image], tmp_path: Path) -> None:
    stored, document = save(made, tmp_path / "pdf.dcm"), tmp_path / "page.pdf"
    assert independent.validator_errors(stored) == []
    subprocess.run([services.program("dcm2pdf"), str(stored), str(document)], check=True, capture_output=True)
    pages = pypdfium2.PdfDocument(document)
    assert len(pages) == 3
    for sheet, frame in zip(pages, drawn, strict=True):
        seen = np.asarray(sheet.render(scale=125 / 72).to_pil().convert("RGB"), float)
        assert seen.shape == (1024, 1024, 3)
        assert float(np.abs(seen - np.asarray(frame, float)).mean()) < 2.5
    pages.close()


def test_the_document_belongs_to_the_study_and_repeats_itself(made: Dataset, drawn: list[Image.Image]) -> None:
    header, again = CT.datasets()[0], page_pdf.encode(source(CT), drawn)
    assert (made.StudyInstanceUID, str(made.PatientName)) == (header.StudyInstanceUID, "CANARY^ANNA")
    assert again == made
    assert b"CANARY" not in made.EncapsulatedDocument
