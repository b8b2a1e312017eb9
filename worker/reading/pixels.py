"""Stored pixels → Hounsfield units, slice by slice into one array."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.filereader import data_element_generator
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from worker.errors import InputRejected
from worker.reading import codestream, headers
from worker.reading.headers import SourceFile
from worker.reading.volume import HU_FLOOR

LARGEST_SIDE = 2048
NATIVE = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian})
HU_CEILING = np.iinfo(np.int16).max
# What the codecs of pydicom's plugins raise on a damaged or unknown stream, beside what malformed values raise.
UNDECODABLE = (*headers.MALFORMED, IndexError, RuntimeError)


def read(files: Sequence[SourceFile]) -> NDArray[np.int16]:
    """Return int16 (slices, rows, columns) in Hounsfield units, in the order given.

    Padding becomes −1024, and so does whatever lies below: scanners fill the corners with −2000 or −3024.

    Parameters
    ----------
    files
        Slices that have rows and columns in common.

    Raises
    ------
    InputRejected
        ``not_hounsfield``, ``pixel_bomb``, ``undecodable_pixels``.
    """
    for file in files:
        require_hounsfield(file.header)
        require_sane_size(file)
    first = files[0].header
    volume = np.empty((len(files), int(first.Rows), int(first.Columns)), dtype=np.int16)
    for target, file in zip(volume, files, strict=True):
        read_slice(file, target)
    return volume


def read_slice(file: SourceFile, target: NDArray[np.int16]) -> None:
    """Write one slice in Hounsfield units into ``target`` (rows, columns).

    Raises
    ------
    InputRejected
        ``pixel_bomb``, ``undecodable_pixels``.
    """
    try:
        image = _with_pixels(file)
        _require_honest_stream(image)
        if image.HighBit != image.BitsStored - 1:
            raise ValueError("HighBit is not BitsStored - 1")
        to_hounsfield(image, target)
    except UNDECODABLE as error:
        raise _undecodable(file.header, error) from error


def _with_pixels(file: SourceFile) -> Dataset:
    """Return what describes the pixels, and the pixels, without reading the whole header again."""
    syntax = file.header.file_meta.TransferSyntaxUID
    if syntax == DeflatedExplicitVRLittleEndian:
        return dcmread(file.path)
    image = file.header.group_dataset(0x0028)
    image.update(file.header.group_dataset(0x7FE0))
    image.file_meta = file.header.file_meta
    # As found, not as declared: pydicom sees through files whose meta group names the wrong one of the two.
    implicit, little = (bool(found) for found in file.header.original_encoding)
    image.set_original_encoding(implicit, little)
    with file.path.open("rb") as stream:
        stream.seek(file.pixels_at)
        for element in data_element_generator(stream, implicit, little):
            image[element.tag] = element
            break
    return image


def require_hounsfield(header: Dataset) -> None:
    """Refuse stored values that do not map to Hounsfield units by slope and intercept alone.

    An absent RescaleType means Hounsfield units (PS3.3 C.11.1.1.2, C.8.2.1).

    Raises
    ------
    InputRejected
        ``not_hounsfield``.
    """
    photometric, unit = headers.text(header, "PhotometricInterpretation"), headers.text(header, "RescaleType")
    slope, intercept = headers.number(header, "RescaleSlope"), headers.number(header, "RescaleIntercept")
    if photometric != "MONOCHROME2":
        problem = f"PhotometricInterpretation is {photometric or 'absent'}"
    elif "ModalityLUTSequence" in header:
        problem = "a modality look-up table takes the place of slope and intercept"
    elif not slope or intercept is None:
        problem = "RescaleSlope or RescaleIntercept is absent or makes no sense"
    elif unit.upper() not in {"", "HU"}:
        problem = f"RescaleType is {unit}"
    else:
        return
    raise InputRejected(
        f"The pixels are not in Hounsfield units ({problem}); send the original CT images.",
        code="not_hounsfield",
        detail={"problem": problem, "sop_uid": headers.text(header, "SOPInstanceUID")},
    )


def require_sane_size(file: SourceFile) -> None:
    """Refuse, before memory is taken, what no CT slice has or its file cannot hold.

    Raises
    ------
    InputRejected
        ``pixel_bomb``.
    """
    header = file.header
    rows, columns, bits, frames, samples = (
        int(headers.number(header, keyword) or usual)
        for keyword, usual in (
            ("Rows", 0),
            ("Columns", 0),
            ("BitsAllocated", 16),
            ("NumberOfFrames", 1),
            ("SamplesPerPixel", 1),
        )
    )
    declared = {"rows": rows, "columns": columns, "frames": frames, "samples": samples, "bits": bits}
    if max(rows, columns) > LARGEST_SIDE or (frames, samples) != (1, 1) or bits not in (8, 16):
        raise _bomb(header, "no CT slice is like that", declared)
    held, needed = file.path.stat().st_size, rows * columns * bits // 8
    if _is_native(header) and held < needed:
        raise _bomb(header, f"the file holds only {held} bytes", declared | {"needed_bytes": needed})


def _is_native(header: Dataset) -> bool:
    """Whether pixels lie in the file byte for byte."""
    return header.file_meta.get("TransferSyntaxUID") in NATIVE


def _bomb(header: Dataset, why: str, declared: dict[str, int]) -> InputRejected:
    return InputRejected(
        f"A slice declares {declared['frames']} × {declared['rows']} × {declared['columns']} pixels "
        f"of {declared['bits']} bits, but {why}; send the series again from the scanner.",
        code="pixel_bomb",
        detail=declared | {"largest_side": LARGEST_SIDE, "sop_uid": headers.text(header, "SOPInstanceUID")},
    )


def _require_honest_stream(dataset: Dataset) -> None:
    """Refuse a compressed frame of another size than the header's, before its decoder takes memory for it."""
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    size = codestream.declared_size(get_frame(dataset.PixelData, 0, number_of_frames=1))
    if size is not None and size != (dataset.Rows, dataset.Columns):
        declared = {"rows": size[0], "columns": size[1], "frames": 1, "samples": 1, "bits": dataset.BitsAllocated}
        raise _bomb(dataset, f"its header {dataset.Rows} × {dataset.Columns}", declared)


def _undecodable(header: Dataset, error: Exception) -> InputRejected:
    syntax = header.file_meta.get("TransferSyntaxUID")
    return InputRejected(
        "The pixels of a slice cannot be decoded: they are damaged, cut off or in an unsupported encoding "
        f"({syntax.name if syntax else 'no transfer syntax'}); send the series again, uncompressed.",
        code="undecodable_pixels",
        detail={
            "sop_uid": headers.text(header, "SOPInstanceUID"),
            "transfer_syntax": str(syntax or ""),
            "error": type(error).__name__,
        },
    )


def to_hounsfield(image: Dataset, target: NDArray[np.int16]) -> None:
    """Write one slice in Hounsfield units into ``target`` (rows, columns), padding and whatever is below at −1024.

    PS3.3 C.11.1 (modality LUT) and C.7.5.1.1.2 (pixel padding, which is of stored values).

    Raises
    ------
    ValueError
        The pixel data are shorter than declared.
    """
    stored = image.pixel_array
    slope, intercept = float(image.RescaleSlope), float(image.RescaleIntercept)
    if slope == 1.0 and intercept.is_integer() and abs(intercept) < HU_CEILING and stored.dtype.itemsize == 2:
        _shift(stored, int(intercept), target)
    else:
        target[...] = np.clip(np.rint(stored * slope + intercept), HU_FLOOR, HU_CEILING)
    padding = _padding(image, stored)
    if padding is not None:
        target[padding] = HU_FLOOR


def _shift(stored: NDArray[Any], intercept: int, target: NDArray[np.int16]) -> None:
    """Add the intercept in 16 bits: clipped before it, no value leaves the range."""
    kind = np.iinfo(stored.dtype)
    low, high = max(HU_FLOOR - intercept, kind.min), min(HU_CEILING - intercept, kind.max)
    np.add(np.clip(stored, low, high), intercept, out=target, dtype=np.int32, casting="unsafe")


def _padding(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return where the scanner saw nothing."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    # Cast as C does, 63536 to −2000: files often give the value another sign than PixelRepresentation says.
    low, high = np.sort(np.array([value, value if limit is None else limit], dtype=np.int64).astype(stored.dtype))
    return np.asarray(stored == low) if low == high else np.asarray((stored >= low) & (stored <= high))
