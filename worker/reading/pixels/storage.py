"""Checks how the pixels of a slice are stored, before any memory is taken for them."""

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from worker.errors import InputRejected
from worker.reading import headers
from worker.reading.pixels.rescale import Rescale
from worker.reading.slices import SourceSlice

LARGEST_SIDE = 2048
# 2,048 slices of 1,024 × 1,024: more than any scanner makes of a chest.
LARGEST_VOLUME_BYTES = 2**32


def check(one: SourceSlice) -> Rescale:
    """Read how the stored bits of a slice become Hounsfield units.

    Raises
    ------
    InputRejected
        ``undecodable_pixels``: the attributes contradict each other.
    """
    header = one.header
    allocated, stored, high, signed = (
        headers.number(header, keyword) for keyword in ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
    )
    slope, intercept = headers.number(header, "RescaleSlope"), headers.number(header, "RescaleIntercept")
    possible = allocated in (8, 16) and stored in range(1, int(allocated or 0) + 1) and signed in (0, 1)
    if not possible or high != (stored or 0) - 1 or slope is None or intercept is None:
        raise undecodable(one, ValueError("bits allocated, stored and high bit"))
    return Rescale(
        int(allocated or 0), int(stored or 0), bool(signed), slope, intercept, _padding(header, int(allocated or 0))
    )


def _padding(header: Dataset, bits: int) -> tuple[int, int] | None:
    value = headers.number(header, "PixelPaddingValue")
    if value is None:
        return None
    limit = headers.number(header, "PixelPaddingRangeLimit")
    mask = (1 << bits) - 1
    return int(value) & mask, int(value if limit is None else limit) & mask


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


def require_sane_size(one: SourceSlice) -> None:
    """Refuse a size that no CT slice has, or that its file cannot hold.

    Raises
    ------
    InputRejected
        ``pixel_bomb``.
    """
    declared = _declared(one)
    rows, columns, bits = declared["rows"], declared["columns"], declared["bits"]
    frames = declared["frames"] if one.frame is None else 1
    if max(rows, columns) > LARGEST_SIDE or (frames, declared["samples"]) != (1, 1) or bits not in (8, 16):
        raise bomb(one, "no CT slice is like that", declared)
    if one.file.is_native and one.file.syntax != DeflatedExplicitVRLittleEndian:
        held, needed = one.file.path.stat().st_size, declared["frames"] * rows * columns * bits // 8
        if held < needed:
            raise bomb(one, f"the file holds only {held} bytes", declared | {"needed_bytes": needed})


def require_sane_volume(found: Sequence[SourceSlice]) -> None:
    """Refuse a stack that no scanner makes.

    Raises
    ------
    InputRejected
        ``pixel_bomb``.
    """
    declared = _declared(found[0]) | {"frames": len(found)}
    needed = len(found) * declared["rows"] * declared["columns"] * 2
    if needed > LARGEST_VOLUME_BYTES:
        raise bomb(found[0], f"at most {LARGEST_VOLUME_BYTES} bytes are measured", declared | {"needed_bytes": needed})


def _declared(one: SourceSlice) -> dict[str, int]:
    """Return what a slice, or the multi-frame object it is in, declares."""
    usual = {"Rows": 0, "Columns": 0, "BitsAllocated": 16, "SamplesPerPixel": 1}
    found = {keyword: int(headers.number(one.header, keyword) or other) for keyword, other in usual.items()}
    frames = int(headers.number(one.file.header, "NumberOfFrames") or 1)
    return {
        "rows": found["Rows"],
        "columns": found["Columns"],
        "frames": frames,
        "samples": found["SamplesPerPixel"],
        "bits": found["BitsAllocated"],
    }


def bomb(one: SourceSlice, why: str, declared: dict[str, int]) -> InputRejected:
    """Return the refusal of a slice that declares what it cannot hold."""
    return InputRejected(
        f"A slice declares {declared['frames']} × {declared['rows']} × {declared['columns']} pixels "
        f"of {declared['bits']} bits, but {why}; send the series again from the scanner.",
        code="pixel_bomb",
        detail=declared | {"largest_side": LARGEST_SIDE, "sop_uid": one.sop_uid},
    )


def undecodable(one: SourceSlice, error: Exception) -> InputRejected:
    """Return the refusal of a slice whose pixels cannot be decoded."""
    syntax = one.file.syntax
    return InputRejected(
        "The pixels of a slice cannot be decoded: they are damaged, cut off or in an unsupported encoding "
        f"({syntax.name if syntax else 'no transfer syntax'}); send the series again, uncompressed.",
        code="undecodable_pixels",
        detail={"sop_uid": one.sop_uid, "transfer_syntax": str(syntax), "error": type(error).__name__},
    )
