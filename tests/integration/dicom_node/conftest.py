"""The kinds of object store that tests go through."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import object_stores
from tests.support.object_stores import LOGIN, Place


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with object_stores.s3_server(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture(params=["file", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty store of each kind."""
    if request.param == "s3":
        for name, value in LOGIN.items():
            monkeypatch.setenv(name, value)
        return object_stores.s3(request.getfixturevalue("s3_endpoint"))
    return object_stores.folder(tmp_path / "store") if request.param == "file" else object_stores.memory()
