"""Names in the character sets of the world pass into every result unchanged, as others read them."""

import subprocess
from pathlib import Path

import pytest
from PIL import Image
from pydicom import dcmread

from tests.support import services
from tests.support.ct import TinyCT
from tests.support.results import CREATED, MAKER
from worker.analysis import quantify
from worker.reading import headers, series
from worker.results import key_images, page_object, page_pdf, seg, sr
from worker.results.files import write_object
from worker.results.segments import DISEASE, OUTLINE
from worker.results.source import ResultSource

# The examples of PS3.5, Annexes H to K, and names of other alphabets.
NAMES = {
    "ISO_IR 100": "Äneas^Rüdiger",
    "ISO_IR 101": "Wałęsa^Lech",
    "ISO_IR 126": "Διονυσιος",
    "ISO_IR 127": "قباني^لنزار",
    "ISO_IR 138": "שרון^דבורה",
    "ISO_IR 144": "Люкceмбypг",
    "ISO_IR 166": "นามสกุล^ชื่อ",
    "ISO_IR 192": "Wang^XiaoDong=王^小東=",
    "GB18030": "Wang^XiaoDong=王^小东=",
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "ISO 2022 IR 13\\ISO 2022 IR 87": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "\\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
}


@pytest.mark.parametrize("declared", NAMES)
def test_a_name_reaches_every_result_as_it_was(declared: str, tmp_path: Path) -> None:
    name = NAMES[declared]
    ct = TinyCT(changes={"SpecificCharacterSet": declared.split("\\"), "PatientName": name})
    read = series.read(ct.write(tmp_path / "ct"))
    source = ResultSource(read.volume, read.headers, "k" * 64, CREATED, MAKER)
    lungs, patterns = ct.masks()
    frames = [Image.new("RGB", (16, 16))]
    # As at work: highdicom warns of names with one component, and would repeat them.
    with headers.quiet():
        disease, outline = (seg.encode(source, one, lungs, patterns) for one in (DISEASE, OUTLINE))
        made = {
            "seg": disease,
            "lungs": outline,
            "sr": sr.encode(source, quantify.assess(read.volume, lungs, patterns), (disease, outline)),
            "page": page_object.encode(source, frames),
            "pdf": page_pdf.encode(source, frames),
            "key_images": key_images.encode(source, patterns),
        }
    for kind, result in made.items():
        assert result is not None
        stored = write_object(tmp_path, kind, result).path
        assert str(dcmread(stored).PatientName).rstrip("=") == name.rstrip("=")
        assert _as_dcmtk_reads(stored).rstrip("=") == name.rstrip("=")


def _as_dcmtk_reads(path: Path) -> str:
    command = [services.program("dcmdump"), "+U8", "+L", "+P", "PatientName", str(path)]
    line = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
    return line[line.index("[") + 1 : line.rindex("]")].strip()
