"""The day-long run in miniature; `make soak` is the long one."""

from pathlib import Path

from tests import soak


def test_hard_case_32_images_and_connections_leak_nothing(tmp_path: Path) -> None:
    rows = soak.run(tmp_path, (300, 40, 300))
    assert [what for what, _, before, after in rows if not soak.is_clean(before, after)] == [], rows
