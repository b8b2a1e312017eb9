"""Frames of every compressed transfer syntax that is read, made by encoders from 12-bit values."""

from collections.abc import Callable

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

Values = NDArray[np.uint16]


def run_lengths(values: Values) -> bytes:
    """Encode as RLE (PS3.5 G), two segments."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.Rows, ds.Columns = values.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.PixelData = values.tobytes()
    ds["PixelData"].VR = "OW"
    ds.compress(RLELossless, generate_instance_uid=False)
    return get_frame(ds.PixelData, 0, number_of_frames=1)


LOSSLESS: dict[UID, Callable[[Values], bytes]] = {
    JPEGLossless: lambda v: imagecodecs.ljpeg_encode(v, bitspersample=12),
    JPEGLosslessSV1: lambda v: imagecodecs.jpeg_encode(v, lossless=True, bitspersample=16),
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEG2000Lossless: lambda v: imagecodecs.jpeg2k_encode(v, level=0, reversible=True, codecformat="j2k"),
    HTJ2KLossless: lambda v: imagecodecs.htj2k_encode(v, reversible=True),
    RLELossless: run_lengths,
}
LOSSY: dict[UID, Callable[[Values], bytes]] = {
    JPEGBaseline8Bit: lambda v: imagecodecs.jpeg_encode((v >> 4).astype(np.uint8), level=95),
    JPEGExtended12Bit: lambda v: imagecodecs.jpeg_encode(v, level=95, bitspersample=12),
}
