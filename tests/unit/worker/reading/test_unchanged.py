"""The bytes of an image are compared with those that came, from the end of the meta group on."""

from hashlib import sha256
from pathlib import Path

import pytest

from dicom_node.spool import part10
from tests.support.ct import TinyCT
from worker.errors import ImageChanged
from worker.reading import unchanged
from worker.reading.unchanged import ReceivedFile


@pytest.fixture
def received(tmp_path: Path) -> list[ReceivedFile]:
    """A series with the digests that the node would give it."""
    paths = TinyCT().write(tmp_path)
    return [ReceivedFile(path, sha256(part10.image_of_file(path.read_bytes()).dataset).hexdigest()) for path in paths]


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_images_as_they_came_pass(received: list[ReceivedFile]) -> None:
    unchanged.require(received)


def test_a_preamble_is_no_part_of_the_image(received: list[ReceivedFile]) -> None:
    flip(received[3].path, 5)
    unchanged.require(received)


@pytest.mark.parametrize("at", [-1, 140, 700])
def test_one_bit_that_changed_is_named_with_its_file(received: list[ReceivedFile], at: int) -> None:
    flip(received[3].path, at)
    with pytest.raises(ImageChanged) as caught:
        unchanged.require(received)
    assert caught.value.code == "image_changed"
    assert caught.value.detail == {"files": ["003.dcm"], "count": 1}


@pytest.mark.parametrize("length", [0, 100, 143])
def test_a_file_cut_off_in_its_meta_group_has_changed(received: list[ReceivedFile], length: int) -> None:
    received[0].path.write_bytes(received[0].path.read_bytes()[:length])
    with pytest.raises(ImageChanged):
        unchanged.require(received)


def test_a_file_that_is_gone_is_trouble_of_the_disk(received: list[ReceivedFile]) -> None:
    received[0].path.unlink()
    with pytest.raises(FileNotFoundError):
        unchanged.require(received)
