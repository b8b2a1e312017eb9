"""Object stores for tests: a folder, memory, and a server that speaks S3; and one that fails when it is told to."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from fsspec.core import url_to_fs

from dicom_node.store.store import Store
from tests.support import services

# The server takes any login; the library wants one.
LOGIN = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Place:
    """The URL of an empty store, and the options by which fsspec opens it."""

    url: str
    options: dict[str, Any]

    def files(self) -> tuple[Any, str]:
        """Return its file system, and the path of what the URL names."""
        files, root = url_to_fs(self.url, **self.options)
        files.invalidate_cache()
        return files, root

    def store(self, around: Callable[[Any], Any] = lambda files: files) -> Store:
        """Open it; ``around`` may wrap its file system."""
        files, root = self.files()
        return Store(around(files), root, self.url)

    def content(self) -> dict[str, bytes]:
        """Return what it holds, by key."""
        files, root = self.files()
        return {path.removeprefix(f"{root}/"): files.cat_file(path) for path in files.find(root)}


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Run a server that speaks S3, moto's; yield its address."""
    port = services.free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with services.running(command, folder / "s3.log", env=os.environ | LOGIN):
        services.wait_until(lambda: services.port_answers(port), 60, "the S3 server")
        yield f"http://127.0.0.1:{port}"


def s3(endpoint: str) -> Place:
    """Make a bucket."""
    # One that is away is said to be so at once.
    hasty = {"config_kwargs": {"retries": {"max_attempts": 0}}}
    place = Place(f"s3://bucket-{uuid4().hex}/site", {"endpoint_url": endpoint} | hasty)
    files, root = place.files()
    files.mkdir(root.partition("/")[0])
    return place


def folder(path: Path) -> Place:
    """Make a folder."""
    path.mkdir(parents=True)
    return Place(f"file://{path}", {})


def memory() -> Place:
    """Make a folder in this process."""
    place = Place(f"memory://store-{uuid4().hex}", {})
    files, root = place.files()
    files.mkdir(root)
    return place


class Failing:
    """A file system whose ``at``-th call fails, counted from 1; ``calls`` names those that were made."""

    def __init__(self, files: Any, at: int, fault: Exception) -> None:
        self._files, self._at, self._fault = files, at, fault
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._files, name)
        if not callable(attribute):
            return attribute

        def call(*words: Any, **options: Any) -> Any:
            self.calls.append(name)
            if len(self.calls) == self._at:
                raise self._fault
            return attribute(*words, **options)

        return call
