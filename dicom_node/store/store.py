"""A store behind fsspec: files are copied there and read back, and none is ever overwritten with other bytes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from dicom_node.errors import FileDiffers, FileMissing, NotInStore, StoreAway, StoreConflict, StoreDiffers
from dicom_node.spool.folder import sync_folder
from dicom_node.spool.incoming import Incoming
from dicom_node.store import fingerprint
from dicom_node.store.fingerprint import PIECE, Fingerprint

# What is put under a name in one of these is there whole or not at all; elsewhere, as in fsspec's memory, a file grows
# under another name.
PUT_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci"})
LONGEST_REASON = 200
# So many files go out, or come home, side by side: each waits for the store most of its time.
COPIES_AT_ONCE = 8


class Store:
    """The files below one URL; a file's key is its path below it, as ``images/STUDY/SERIES/FILE``.

    Parameters
    ----------
    files
        The fsspec file system.
    root
        The path in it of what the URL names: never made here, so a share that is not mounted is seen.
    url
        The URL as rows and events name it.
    """

    def __init__(self, files: Any, root: str, url: str) -> None:
        self._files, self._root, self.url = files, root.rstrip("/"), url.rstrip("/")
        protocols = {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)
        self._puts_whole = bool(protocols & PUT_WHOLE)
        self._is_local = bool(getattr(files, "local_file", False))

    def url_of(self, key: str) -> str:
        """Return the URL of a file, or of a folder."""
        return f"{self.url}/{key}"

    def keep(self, local: Path, key: str, digest: str) -> None:
        """Have a file in the store, read back and the same; ``digest`` is that of its data set, or of all of it.

        A file that lies there already is read and compared, and not written.

        Raises
        ------
        StoreAway, StoreConflict, StoreDiffers
            The store does not take it, has other bytes under this key, or gives back others than it was given.
        FileMissing, FileDiffers
            The file here is gone, or not what ``digest`` says.
        """
        there = self._read(self._path(key))
        if there is None:
            self._write(local, self._path(key), _required(local, digest))
        elif not there.is_of(digest):
            raise StoreConflict(f"other bytes lie at {self.url_of(key)}: move them; nothing is overwritten")

    def bring(self, key: str, digest: str, incoming: Incoming) -> None:
        """Write a file of the store to ``incoming``, complete and compared; the caller syncs and renames it.

        Raises NotInStore, StoreAway, StoreDiffers, and OutOfSpace or OSError of the disk here.
        """
        with self._answering(), self._opened(key) as file:
            while piece := file.read(PIECE):
                incoming.extend(piece)
        incoming.complete()
        with incoming.path.open("rb") as file:
            if not fingerprint.of(file).is_of(digest):
                raise StoreDiffers(f"{self.url_of(key)} is not what was stored there")

    def try_out(self) -> None:
        """Write a small object, read it back and remove it. Raises StoreAway or StoreDiffers."""
        path, content = self._path(f"doctor-{uuid4().hex}"), b"scleroscan"
        with self._answering():
            self._require_root()
            self._files.pipe_file(path, content)
            found = self._files.cat_file(path)
            self._files.rm_file(path)
        if found != content:
            raise StoreDiffers(f"{self.url} gives back other bytes than it was given")

    @contextmanager
    def _opened(self, key: str) -> Iterator[Any]:
        try:
            file = self._files.open(self._path(key), "rb")
        except FileNotFoundError as error:
            raise NotInStore(f"{self.url_of(key)} is not there") from error
        with file:
            yield file

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _read(self, path: str) -> Fingerprint | None:
        with self._answering():
            try:
                file = self._files.open(path, "rb")
            except FileNotFoundError:
                return None
            with file:
                return fingerprint.of(file)

    def _write(self, local: Path, path: str, own: Fingerprint) -> None:
        """Put a file under a name that nothing has. Nothing that has its name is ever removed, whatever it holds."""
        target = path if self._puts_whole else f"{path}.{uuid4().hex}.part"
        try:
            self._put(local, target)
            self._require_same(target, own)
            if not self._puts_whole:
                self._settle(target, path)
        except (StoreAway, StoreDiffers):
            if not self._puts_whole:
                with suppress(Exception):
                    self._files.rm_file(target)
            raise

    def _require_same(self, target: str, own: Fingerprint) -> None:
        if self._read(target) != own:
            raise StoreDiffers(f"{self.url} gives back other bytes than it was given: nothing is removed here")

    def _put(self, local: Path, target: str) -> None:
        with self._answering():
            if not self._puts_whole:
                self._make_folder(target.rpartition("/")[0])
            self._files.put_file(str(local), target)

    def _make_folder(self, folder: str) -> None:
        self._require_root()
        if self._files.isdir(folder):
            return
        self._files.makedirs(folder, exist_ok=True)
        if self._is_local:
            made = Path(folder)
            for one in (made, *made.parents):
                sync_folder(one)
                if str(one) == self._root:
                    break

    def _settle(self, part: str, path: str) -> None:
        """Give a file its name; on a disk so that neither is lost in a power cut."""
        with self._answering():
            if self._is_local:
                with Path(part).open("rb") as file:
                    os.fsync(file.fileno())
            self._files.mv(part, path)
            if self._is_local:
                sync_folder(Path(path).parent)

    def _require_root(self) -> None:
        if not self._puts_whole and not self._files.isdir(self._root):
            raise StoreAway(f"{self.url} is no folder: make it once; is its share mounted?")

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (StoreAway, StoreDiffers, NotInStore):
            raise
        except Exception as error:  # the library of each protocol has errors of its own
            said = " ".join(str(error).split())[:LONGEST_REASON]
            raise StoreAway(f"{self.url} does not answer as it should ({type(error).__name__}: {said})") from error


def _required(local: Path, digest: str) -> Fingerprint:
    try:
        with local.open("rb") as file:
            own = fingerprint.of(file)
    except FileNotFoundError as error:
        raise FileMissing(f"{local} is gone, and not in the store: see scleroscan recover") from error
    if not own.is_of(digest):
        raise FileDiffers(f"{local} is not what its row says: look at the disk, or send the series again")
    return own
