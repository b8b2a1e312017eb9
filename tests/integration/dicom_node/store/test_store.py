"""Files go to a store and come home the same, or it is said why not; nothing there is ever overwritten."""

import hashlib
from pathlib import Path

import pytest

from dicom_node.errors import (
    FileDiffers,
    FileMissing,
    NotInStore,
    StoreAway,
    StoreConflict,
    StoreDiffers,
    StoreFault,
)
from dicom_node.spool.incoming import PIECE, Incoming
from dicom_node.store import fingerprint
from tests.support import object_stores
from tests.support.node_senders import ct_slice, encoded, header
from tests.support.object_stores import Failing, Place

KEY = "images/1.2/1.2.3/one.dcm"
FAULT = OSError("the store ends here")


def image(folder: Path, number: int = 0) -> tuple[Path, str]:
    """Write an image, and return its path and the digest that its row would have."""
    ds = ct_slice(number)
    path = folder / f"{number}.dcm"
    path.write_bytes(header(ds.SOPInstanceUID) + encoded(ds))
    return path, hashlib.sha256(encoded(ds)).hexdigest()


def incoming(tmp_path: Path) -> Incoming:
    return Incoming(tmp_path / "home.part", b"", bytearray(PIECE), lambda: None)


def test_a_file_goes_there_and_comes_home_the_same(place: Place, tmp_path: Path) -> None:
    path, digest = image(tmp_path)
    store = place.store()
    store.keep(path, KEY, digest)
    assert place.content() == {KEY: path.read_bytes()}
    assert store.url_of(KEY) == f"{place.url}/{KEY}"
    home = incoming(tmp_path)
    store.bring(KEY, digest, home)
    home.sync()
    assert home.path.read_bytes() == path.read_bytes()


def test_a_file_is_known_by_all_of_it_or_by_its_data_set(tmp_path: Path) -> None:
    path, digest = image(tmp_path)
    with path.open("rb") as file:
        known = fingerprint.of(file)
    assert known.size_bytes == path.stat().st_size
    assert known.is_of(digest)
    assert known.is_of(hashlib.sha256(path.read_bytes()).hexdigest())
    assert not known.is_of("0" * 64)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG" * 500_000)
    with (tmp_path / "picture.png").open("rb") as file:
        assert fingerprint.of(file).dataset is None


def test_what_lies_there_is_compared_and_not_written(place: Place, tmp_path: Path) -> None:
    path, digest = image(tmp_path)
    place.store().keep(path, KEY, digest)
    watched = []

    def watch(files: object) -> Failing:
        watched.append(Failing(files, 0, FAULT))
        return watched[0]

    place.store(watch).keep(path, KEY, digest)
    assert "put_file" not in watched[0].calls
    path.unlink()
    place.store().keep(path, KEY, digest)


def test_other_bytes_under_its_name_are_never_overwritten(place: Place, tmp_path: Path) -> None:
    path, digest = image(tmp_path)
    other, other_digest = image(tmp_path, 1)
    place.store().keep(other, KEY, other_digest)
    with pytest.raises(StoreConflict, match="nothing is overwritten"):
        place.store().keep(path, KEY, digest)
    assert place.content() == {KEY: other.read_bytes()}


def test_a_file_here_that_is_another_or_gone_is_not_stored(place: Place, tmp_path: Path) -> None:
    path, digest = image(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(FileDiffers, match="not what its row says"):
        place.store().keep(path, KEY, digest)
    path.unlink()
    with pytest.raises(FileMissing, match="is gone"):
        place.store().keep(path, KEY, digest)
    assert place.content() == {}


def test_what_is_not_there_or_was_changed_does_not_come_home(place: Place, tmp_path: Path) -> None:
    path, digest = image(tmp_path)
    home = incoming(tmp_path)
    with pytest.raises(NotInStore, match=KEY):
        place.store().bring(KEY, digest, home)
    home.discard()
    place.store().keep(path, KEY, digest)
    files, root = place.files()
    files.pipe_file(f"{root}/{KEY}", path.read_bytes()[:-1])
    with pytest.raises(StoreDiffers):
        place.store().bring(KEY, digest, incoming(tmp_path))


def calls_of(place: Place, path: Path, digest: str, at: int) -> list[str]:
    """Keep a file in a store whose ``at``-th call fails, and return the calls."""
    made: list[Failing] = []

    def failing(files: object) -> Failing:
        made.append(Failing(files, at, FAULT))
        return made[0]

    if at:
        with pytest.raises(StoreAway, match="the store ends here"):
            place.store(failing).keep(path, KEY, digest)
    else:
        place.store(failing).keep(path, KEY, digest)
    return made[0].calls


def test_a_store_that_ends_at_any_call_leaves_no_half_file(place: Place, tmp_path: Path) -> None:
    path, digest = image(tmp_path)
    whole = len(calls_of(place, path, digest, 0))
    assert whole >= 3
    files, root = place.files()
    for at in range(1, whole + 1):
        files.rm(f"{root}/images", recursive=True)
        calls_of(place, path, digest, at)
        assert set(place.content().values()) <= {path.read_bytes()}
        place.store().keep(path, KEY, digest)
        assert place.content() == {KEY: path.read_bytes()}


class Garbling:
    """A file system that keeps other bytes than it is given."""

    def __init__(self, files: object) -> None:
        self._files = files

    def __getattr__(self, name: str) -> object:
        return getattr(self._files, name)

    def put_file(self, local: str, path: str) -> None:
        self._files.pipe_file(path, Path(local).read_bytes()[:-1])  # type: ignore[attr-defined]


def test_a_store_that_gives_back_others_is_found_out(place: Place, tmp_path: Path) -> None:
    path, digest = image(tmp_path)
    with pytest.raises(StoreDiffers, match="nothing is removed here"):
        place.store(Garbling).keep(path, KEY, digest)
    if place.url.startswith("s3:"):
        with pytest.raises(StoreConflict):
            place.store().keep(path, KEY, digest)
    else:
        # Under another name, which is gone again.
        assert place.content() == {}


def test_the_folder_of_a_share_is_never_made(tmp_path: Path) -> None:
    path, digest = image(tmp_path)
    place = Place(f"file://{tmp_path / 'share' / 'scleroscan'}", {})
    for tried in (lambda: place.store().keep(path, KEY, digest), lambda: place.store().try_out()):
        with pytest.raises(StoreAway, match="is its share mounted"):
            tried()
    assert not (tmp_path / "share").exists()


def test_an_s3_server_that_is_away_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in object_stores.LOGIN.items():
        monkeypatch.setenv(name, value)
    path, digest = image(tmp_path)
    with object_stores.s3_server(tmp_path) as endpoint:
        place = object_stores.s3(endpoint)
        place.store().keep(path, KEY, digest)
        store = place.store()
        store.try_out()
    with pytest.raises(StoreAway, match="does not answer as it should"):
        store.keep(path, "images/1.2/1.2.3/two.dcm", digest)
    lost = Place("s3://no-such-bucket/site", place.options)
    with object_stores.s3_server(tmp_path) as endpoint, pytest.raises(StoreFault):
        Place(lost.url, {"endpoint_url": endpoint}).store().keep(path, KEY, digest)
