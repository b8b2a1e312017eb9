"""Objects made once for all tests of the statement."""

import pytest

from tests.support.produced import Produced, produce


@pytest.fixture(scope="package")
def produced(tmp_path_factory: pytest.TempPathFactory) -> Produced:
    """SEG, SR and page of a phantom, by the real pipeline with the packaged model."""
    return produce(tmp_path_factory.mktemp("produced"))
