"""What a radiologist sees in OHIF over Orthanc: names of series, the disease over the CT, the page beside it."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from scipy import ndimage

from tests.acceptance.site import Site, running
from tests.support import ohif, services, viewer_page
from tests.support.viewer_page import Reader
from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series

NAMES = ["ILD disease", "ILD page (", "ILD page, PDF", "ILD lungs", "ILD measurements"]
COLOURS = {"Ground glass opacity": (240, 228, 66), "Reticulation": (213, 94, 0), "Consolidation": (86, 180, 233)}
AIR_IN_LUNG_HU = -800


@dataclass(frozen=True)
class Study:
    """A study in the archive: the CT by SOP Instance UID, and the SEG of the disease."""

    uid: str
    ct: dict[str, Dataset]
    disease: Dataset


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, orthanc: services.Orthanc) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("WORKER_PDF", "true")
        with running(folder, f"sqlite:///{folder / 'scleroscan.db'}", "embedded", orthanc) as one:
            yield one


@pytest.fixture(scope="module")
def study(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A phantom in the archive with what was made of it."""
    folder = tmp_path_factory.mktemp("study")
    spec = PhantomSpec(seed=7203, shape=(64, 256, 256), spacing_mm=(4.5, 1.4, 1.4), extent_pct=30.0)
    paths = write_series(render(spec), folder / "ct", PhantomIdentity())
    ct = {str(ds.SOPInstanceUID): ds for ds in map(dcmread, paths)}
    for path, ds in zip(paths, ct.values(), strict=True):
        # As de-identified archives have it: a number beyond those that results usually have.
        ds.SeriesNumber = 9000
        ds.save_as(path)
    first = next(iter(ct.values()))
    pacs = ["-aec", "ORTHANC", "127.0.0.1", str(site.archive.dicom_port)]
    subprocess.run([services.program("storescu"), *pacs, *map(str, paths)], check=True, capture_output=True)
    site.send(folder / "ct")
    site.wait_for(str(first.SeriesInstanceUID), "delivered", "rejected", "failed", "review")
    segs = [
        site.fetch(f["id"], folder / f["id"]) for f in site.archived(first.StudyInstanceUID) if f["modality"] == "SEG"
    ]
    (disease,) = (ds for ds in map(dcmread, segs) if ds.SeriesDescription.startswith("ILD disease"))
    return Study(str(first.StudyInstanceUID), ct, disease)


@pytest.fixture(scope="module")
def reader(site: Site, study: Study) -> Iterator[Reader]:
    with ohif.serving(site.archive.http_port) as address, viewer_page.reading(address, study.uid) as one:
        yield one


def frames(seg: Dataset) -> Iterator[tuple[int, str, NDArray[np.bool_]]]:
    """Yield number of the segment, SOP Instance UID of the slice and pixels of each frame."""
    for groups, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        (source,) = groups.DerivationImageSequence[0].SourceImageSequence
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        yield int(number), str(source.ReferencedSOPInstanceUID), pixels > 0


def most_of(study: Study, label: str) -> tuple[str, NDArray[np.bool_]]:
    """Return the slice, by SOP Instance UID, that shows most of a segment, and where it is there."""
    (number,) = (one.SegmentNumber for one in study.disease.SegmentSequence if one.SegmentLabel == label)
    _, uid, pixels = max((one for one in frames(study.disease) if one[0] == number), key=lambda one: int(one[2].sum()))
    return uid, pixels


def places(ct: Dataset, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the middles of up to 40 pixels of a mask in patient space, LPS mm, spread over it."""
    rows, columns = np.nonzero(mask)
    picked = np.linspace(0, len(rows) - 1, 40).astype(int)
    along, down = (
        np.array(ct.ImageOrientationPatient, float).reshape(2, 3) * np.array(ct.PixelSpacing, float)[::-1, None]
    )
    return np.array(ct.ImagePositionPatient, float) + columns[picked, None] * along + rows[picked, None] * down


def test_the_study_opens_with_the_ct(reader: Reader, study: Study) -> None:
    reader.wait_for("ILD page")
    assert any(uid in reader.shown_image() for uid in study.ct)


def test_the_list_names_each_series_by_what_is_in_it(reader: Reader) -> None:
    for name in NAMES:
        reader.wait_for(name)
    assert "Scleroscan ILD" not in reader.text()


def test_the_list_shows_pictures_and_documents_above_overlays(reader: Reader) -> None:
    # OHIF 3.13 reads no Series Time of a SEG: those of one day it lists by UID, which is chance.
    listed = {name: reader.text().index(name) for name in NAMES}
    above = max(listed["ILD page ("], listed["ILD page, PDF"])
    assert above < min(listed["ILD disease"], listed["ILD lungs"])
    assert max(listed["ILD disease"], listed["ILD lungs"]) < listed["ILD measurements"]


def test_the_disease_lies_in_its_colours_over_the_ct(reader: Reader, study: Study) -> None:
    reader.open_series("ILD disease")
    reader.open_panel()
    for label in COLOURS:
        reader.wait_for(label)
    assert reader.segments() == COLOURS
    for label in ("Ground glass opacity", "Reticulation"):
        sop_uid, mask = most_of(study, label)
        reader.go_to(sop_uid)
        ct = study.ct[sop_uid]
        seen = reader.colours(places(ct, ndimage.binary_erosion(mask)))
        hue = np.array(COLOURS[label]) - np.mean(COLOURS[label])
        assert np.median((seen - seen.mean(axis=1, keepdims=True)) @ hue / np.linalg.norm(hue) ** 2) > 0.2, label


def test_lung_without_disease_stays_grey(reader: Reader, study: Study) -> None:
    sop_uid, _ = most_of(study, "Ground glass opacity")
    reader.go_to(sop_uid)
    ct = study.ct[sop_uid]
    air = ct.pixel_array * float(ct.RescaleSlope) + float(ct.RescaleIntercept) < AIR_IN_LUNG_HU
    inside = ndimage.binary_fill_holes(~air) & air
    found = np.any([pixels for _, uid, pixels in frames(study.disease) if uid == sop_uid], axis=0)
    healthy = ndimage.binary_erosion(inside, iterations=3) & ~ndimage.binary_dilation(found, iterations=4)
    seen = reader.colours(places(ct, healthy))
    assert np.ptp(seen, axis=1).max() < 10


def test_the_page_opens_beside_with_its_numbers_unhidden(reader: Reader) -> None:
    reader.open_series("ILD page")
    reader.wait_for("(1/3)")
    seen = reader.picture().astype(int).reshape(-1, 3)
    for colour in COLOURS.values():
        # The squares of the legend, 18 pixels wide in the file.
        assert np.count_nonzero(np.abs(seen - colour).max(axis=1) < 6) > 40


def test_the_pdf_opens_beside_as_a_document(reader: Reader) -> None:
    reader.open_series("ILD page, PDF")
    assert reader.document().startswith(b"%PDF-")
    assert reader.document().count(b"/Type /Page\n") == 3
