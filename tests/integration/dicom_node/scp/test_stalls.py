"""A thousand associations in miniature; `make stalls` is the long run."""

from pathlib import Path

from tests import stalls


def test_each_image_of_each_way_is_answered(tmp_path: Path) -> None:
    rows = stalls.run(tmp_path, associations=3, images=20)
    assert [row.stalled for row in rows] == [0, 0, 0], rows
