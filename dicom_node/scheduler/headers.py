"""Reads from the files of the spool the header values that rows and rules need."""

from collections.abc import Sequence
from pathlib import Path

from db.image_plane import ImagePlane
from dicom_node.errors import UNPARSEABLE, ReceiveError
from dicom_node.series import facts
from dicom_node.series.facts import Described, SeriesFacts
from dicom_node.spool import part10
from dicom_node.spool.header import Header, tags_of
from dicom_node.spool.image import Identity

# Needed for the rows and to judge completeness.
ROW_TAGS = Identity.TAGS | tags_of(
    (
        "PatientID",
        "PatientName",
        "AccessionNumber",
        "StudyDate",
        "Modality",
        "SeriesDescription",
        "ImageType",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "Rows",
        "Columns",
    )
)
# Needed for the routing rules.
FACTS_TAGS = tags_of(
    (
        "Modality",
        "BodyPartExamined",
        "ProtocolName",
        "SeriesDescription",
        "StudyDescription",
        "SliceThickness",
        "ConvolutionKernel",
        "ImageType",
        "NumberOfFrames",
    )
)
# So many files are read: the headers of one series hardly differ, and only what most of them say counts.
SAMPLE = 15
MOST_FRAMES = 100_000


def facts_of(paths: Sequence[Path], calling_ae: str, slices: int) -> SeriesFacts:
    """Read the facts of a series from a sample of its files; files that cannot be read are left out."""
    images = [described(header) for path in _sample(paths) if (header := _header(path)) is not None]
    return facts.of(images, calling_ae, slices)


def _sample(paths: Sequence[Path]) -> list[Path]:
    ordered = sorted(paths)
    step = max(1, len(ordered) // SAMPLE)
    return ordered[::step][:SAMPLE]


def _header(path: Path) -> Header | None:
    try:
        return part10.read_file(path, FACTS_TAGS).header
    except (*UNPARSEABLE, ReceiveError):
        return None


def described(header: Header) -> Described:
    """Return the values of one header that the rules see."""
    return Described(
        modality=header.text("Modality"),
        body_part=header.text("BodyPartExamined"),
        protocol=header.text("ProtocolName"),
        series=header.text("SeriesDescription"),
        study=header.text("StudyDescription"),
        thickness_mm=header.number("SliceThickness"),
        kernel=header.texts("ConvolutionKernel"),
        image_type=header.text("ImageType"),
        frames=header.count("NumberOfFrames", MOST_FRAMES) or 1,
    )


def plane_of(header: Header) -> ImagePlane | None:
    """Return the image plane; None where it is absent or malformed, which the reading gate will refuse."""
    found = (*header.numbers("ImageOrientationPatient"), None, *header.numbers("ImagePositionPatient"))
    match found:
        case (float(rx), float(ry), float(rz), float(cx), float(cy), float(cz), None, float(x), float(y), float(z)):
            matrix = header.short("Rows") or 0, header.short("Columns") or 0
            return ImagePlane((rx, ry, rz, cx, cy, cz), (x, y, z), *matrix, header.texts("ImageType"))
    return None
