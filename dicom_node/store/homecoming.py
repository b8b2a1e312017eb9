"""Brings files home from the object store, each durable and compared before it has its name again."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from dicom_node.errors import FileDiffers, OutOfSpace
from dicom_node.spool.folder import sync_folder
from dicom_node.spool.incoming import PIECE, Incoming
from dicom_node.store import fingerprint
from dicom_node.store.store import Store


def bring(store: Store, key: str, digest: str, target: Path, begin: Callable[[], Incoming]) -> bool:
    """Have a file at ``target``; return whether it was copied, because it was not there.

    ``begin`` makes a file on the same disk that is renamed to ``target`` once it is whole.

    Raises
    ------
    NotInStore, StoreAway, StoreDiffers
        The store does not have it, does not answer, or has other bytes.
    FileDiffers
        Other bytes lie at ``target``: they are left alone.
    OutOfSpace
        The disk here does not take it.
    """
    if target.exists():
        _require(target, digest)
        return False
    incoming = begin()
    try:
        store.bring(key, digest, incoming)
        incoming.sync()
        incoming.path.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise OutOfSpace(f"{target} cannot be written ({error.strerror})") from error
    finally:
        incoming.discard()
    return True


def beside(folder: Path) -> Incoming:
    """Begin a file in a folder of results, which is made where it is missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sync_folder(folder.parent)
    return Incoming(folder / f"{uuid4().hex}.part", b"", bytearray(PIECE), lambda: None)


def _require(path: Path, digest: str) -> None:
    with path.open("rb") as file:
        if not fingerprint.of(file).is_of(digest):
            raise FileDiffers(f"{path} is not what its row says, and is not overwritten: move it away")
