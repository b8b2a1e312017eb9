"""The spool: durable, private, and no path that a sender can bend."""

import hashlib
import os
from pathlib import Path

import pytest

from dicom_node.errors import OutOfSpace, UnreadableInstance
from dicom_node.spool.folder import Spool, SpooledName
from dicom_node.spool.image import check_uid
from dicom_node.spool.incoming import PIECE


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    one = Spool(tmp_path / "spool")
    one.prepare()
    return one


@pytest.mark.parametrize(
    "uid", ["", "../../etc/passwd", "1.2/3", "1..2", "1.02", "1.2.", ".1", "1." * 32 + "1", "1.2\n"]
)
def test_a_uid_that_breaks_the_grammar_never_becomes_a_path(uid: str) -> None:
    with pytest.raises(UnreadableInstance):
        check_uid(uid)


def test_a_uid_of_sixty_four_characters_is_fine() -> None:
    check_uid("1" * 62 + ".0")


def test_the_same_image_twice_has_one_place(spool: Spool) -> None:
    for head in (b"head", b"another head"):
        waiting = spool.keep("1.2.3", head, b"pixels")
        name = SpooledName.of_file("1.2.3", waiting, len(head))
        spool.settle(waiting, spool.settled_path(name, "1.2"))
    assert name.digest == hashlib.sha256(b"pixels").hexdigest()
    assert [path.name for path in (spool.root / "series" / "1.2").iterdir()] == [name.filename]


def test_other_bytes_under_one_uid_are_another_file(spool: Spool) -> None:
    for content in (b"first", b"second"):
        spool.keep("1.2.3", b"head", content)
    assert len(list(spool.waiting())) == 2


def test_bytes_are_kept_as_given_for_the_owner_alone(spool: Spool) -> None:
    path = spool.keep("1.2.3", b"head", b"pixels")
    assert path.read_bytes() == b"headpixels"
    assert path.stat().st_mode & 0o077 == 0


def test_what_a_crash_left_half_written_is_cleared_away(spool: Spool) -> None:
    leftover = spool.root / "incoming" / "half.part"
    leftover.write_bytes(b"ha")
    assert spool.clear_leftovers() == 0
    os.utime(leftover, (0, 0))
    assert spool.clear_leftovers() == 1
    assert list((spool.root / "incoming").iterdir()) == []


def test_what_another_process_writes_is_left_alone_however_old(spool: Spool) -> None:
    begun = spool.begin(b"head", bytearray(PIECE))
    os.utime(begun.path, (0, 0))
    other = Spool(spool.root)
    other.prepare()
    assert other.clear_leftovers() == 0
    spool.complete(begun)
    assert spool.keep_incoming(begun, "1.2.3").exists()


def test_of_two_processes_the_later_image_is_the_later_one(spool: Spool) -> None:
    spool.keep("1.2.3", b"", b"first")
    other = Spool(spool.root)
    other.prepare()
    other.keep("1.2.3", b"", b"second")
    spool.keep("1.2.3", b"", b"third")
    assert [path.read_bytes() for path in spool.waiting()] == [b"first", b"second", b"third"]


def test_images_that_wait_under_an_older_name_keep_their_order(spool: Spool) -> None:
    first, second = (spool.keep("1.2.3", b"", content) for content in (b"first", b"second"))
    for path in (second, first):
        path.rename(path.with_name(path.name.replace("1.2.3-", f"1.2.3-{'e' * 64}-")))
    spool.keep("1.2.3", b"", b"third")
    assert [path.read_bytes() for path in spool.waiting()] == [b"first", b"second", b"third"]


def test_below_the_watermark_nothing_is_taken(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", min_free_mb=10**12)
    spool.prepare()
    with pytest.raises(OutOfSpace):
        spool.keep("1.2.3", b"", b"x")
    assert list(spool.waiting()) == []


def test_a_spool_that_cannot_be_written_says_so(spool: Spool) -> None:
    (spool.root / "incoming").rmdir()
    (spool.root / "incoming").write_text("a file where the folder was")
    with pytest.raises(OutOfSpace):
        spool.keep("1.2.3", b"", b"x")


def test_a_registered_file_moves_below_its_series(spool: Spool) -> None:
    waiting = spool.keep("1.2.3", b"", b"x")
    name = SpooledName.of_file("1.2.3", waiting, 0)
    place = spool.settled_path(name, "1.2")
    spool.settle(waiting, place)
    assert place.read_bytes() == b"x"
    assert list(spool.waiting()) == []
