"""The run of `make fuzz` in miniature."""

from pathlib import Path

import pytest

from tests.fuzz import run


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", run.KINDS)
def test_hostile_bytes_stop_and_lose_nothing(tmp_path: Path, kind: str) -> None:
    figures = run.run(tmp_path, kind, 25)
    assert figures.is_clean, figures
