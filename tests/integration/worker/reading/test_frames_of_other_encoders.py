"""JPEG Lossless as DCMTK and GDCM write it: read, with whatever stands behind its end, and refused cut off."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import gdcm
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEGLosslessSV1

from tests.support import ct_files, services
from worker.errors import InputRejected
from worker.reading import series

TAILS = {"none": b"", "one byte": b"c", "many bytes": bytes(range(1, 200))}


def by_dcmtk(native: Path, compressed: Path) -> None:
    subprocess.run([services.program("dcmcjpeg"), "+e1", str(native), str(compressed)], check=True)


def by_gdcm(native: Path, compressed: Path) -> None:
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(native))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(compressed))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


ENCODERS = [by_dcmtk, by_gdcm]
Encoder = Callable[[Path, Path], None]


def compressed_series(folder: Path, encoder: Encoder, change: Callable[[bytes], bytes]) -> list[Path]:
    """Write the usual small series by an encoder, the frame of its sixth slice changed."""
    paths = []
    for native in ct_files.write(folder / "native", ct_files.slices()):
        paths.append(folder / native.name)
        encoder(native, paths[-1])
    ds = dcmread(paths[5])
    assert ds.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    ds.PixelData = encapsulate([change(get_frame(ds.PixelData, 0, number_of_frames=1))])
    ds.save_as(paths[5])
    return paths


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_frames_with_a_tail_are_read_as_others_read_them(tmp_path: Path, encoder: Encoder, tail: str) -> None:
    paths = compressed_series(tmp_path, encoder, lambda frame: frame.rstrip(b"\0") + TAILS[tail])
    hu = series.read(paths).volume.hu
    assert np.array_equal(hu, series.read(sorted((tmp_path / "native").iterdir())).volume.hu)
    subprocess.run([services.program("dcmdjpeg"), str(paths[5]), str(tmp_path / "by_dcmtk")], check=True)
    for others in (dcmread(paths[5]), dcmread(tmp_path / "by_dcmtk")):
        assert np.array_equal(hu[5], others.pixel_array.astype(int) - 1024)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_frames_cut_off_are_refused_whatever_stands_there(tmp_path: Path, encoder: Encoder, tail: str) -> None:
    paths = compressed_series(tmp_path, encoder, lambda frame: frame[: len(frame) * 3 // 4] + TAILS[tail])
    with pytest.raises(InputRejected) as refused:
        series.read(paths)
    assert refused.value.code == "undecodable_pixels"
