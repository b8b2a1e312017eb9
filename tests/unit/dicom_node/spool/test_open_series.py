"""Which series a connection still holds back, known to every process on the spool."""

import subprocess
import sys
from pathlib import Path

import pytest

from dicom_node.spool.associations import OpenSeries

HOLDER = """
import sys
from pathlib import Path
from dicom_node.spool.associations import OpenSeries
series = OpenSeries(Path(sys.argv[1]), slots=2)
series.opened(1)
series.carried(1, "1.2")
print("carried", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def series(tmp_path: Path) -> OpenSeries:
    return OpenSeries(tmp_path, slots=2)


def test_a_series_is_open_from_first_image_to_association_end(series: OpenSeries) -> None:
    assert series.opened(1)
    assert "1.2" not in series
    series.carried(1, "1.2")
    assert "1.2" in series
    series.ended(1, released=True)
    assert "1.2" not in series


def test_an_image_after_the_end_of_its_association_opens_nothing(series: OpenSeries) -> None:
    series.opened(1)
    series.ended(1, released=True)
    series.carried(1, "1.2")
    assert "1.2" not in series


def test_a_series_over_two_associations_is_open_until_both_end(series: OpenSeries) -> None:
    for association in (1, 2):
        series.opened(association)
        series.carried(association, "1.2")
    series.ended(1, released=True)
    assert "1.2" in series
    series.ended(2, released=True)
    assert "1.2" not in series


def test_slots_are_as_many_as_set_and_free_again_when_left(series: OpenSeries) -> None:
    assert [series.opened(1), series.opened(2), series.opened(3)] == [True, True, False]
    series.ended(1, released=True)
    assert series.opened(3)


def test_a_series_is_open_in_all_processes_until_its_holder_dies(series: OpenSeries, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"carried\n"
        assert "1.2" in series
        assert [series.opened(1), series.opened(2)] == [True, False]
        holder.kill()
        holder.wait()
        assert "1.2" not in series
        assert series.broke_off("1.2")
        assert series.opened(2)


def carry(series: OpenSeries, association: int, *series_uids: str) -> None:
    """Open an association that carries an image of each series."""
    assert series.opened(association)
    for uid in series_uids:
        series.carried(association, uid)


def test_an_association_released_leaves_no_series_broken_off(series: OpenSeries) -> None:
    carry(series, 1, "1.2", "1.2", "1.3")
    assert not series.broke_off("1.2")
    assert series.ended(1, released=True) == {"1.2": 2, "1.3": 1}
    assert not series.broke_off("1.2")


def test_each_series_of_a_broken_association_is_broken_off(series: OpenSeries, tmp_path: Path) -> None:
    carry(series, 1, "1.2", "1.2", "1.3")
    assert series.ended(1, released=False) == {"1.2": 2, "1.3": 1}
    for one in (series, OpenSeries(tmp_path, slots=2)):
        assert [one.broke_off(uid) for uid in ("1.2", "1.3", "1.4")] == [True, True, False]
        assert "1.2" not in one


def test_a_series_is_mended_by_its_release_and_not_before(series: OpenSeries) -> None:
    carry(series, 1, "1.2")
    series.ended(1, released=False)
    carry(series, 2, "1.2")
    assert series.broke_off("1.2")
    series.ended(2, released=True)
    assert not series.broke_off("1.2")


def test_a_sender_that_ends_well_mends_no_later_break(series: OpenSeries) -> None:
    carry(series, 1, "1.2")
    carry(series, 2, "1.2")
    series.ended(1, released=False)
    series.ended(2, released=True)
    assert series.broke_off("1.2")


def test_a_slot_taken_again_forgets_no_death(series: OpenSeries, tmp_path: Path) -> None:
    (tmp_path / "0000").write_text("1.2\n1.3\n1.4 cut o\0")
    assert series.opened(1)
    assert [series.broke_off(uid) for uid in ("1.2", "1.3")] == [True, True]
    assert sorted(path.name for path in (tmp_path / "broken-off").iterdir()) == ["1.2", "1.3"]


def test_a_break_that_cannot_be_noted_is_noted_later(series: OpenSeries, tmp_path: Path) -> None:
    carry(series, 1, "1.2")
    in_the_way = tmp_path / "broken-off"
    in_the_way.write_text("no folder")
    with pytest.raises(OSError, match="broken-off"):
        series.ended(1, released=False)
    in_the_way.unlink()
    assert series.broke_off("1.2")


def test_a_death_before_a_whole_sending_is_mended_by_it(series: OpenSeries, tmp_path: Path) -> None:
    # Left by a process that was killed, in a slot that nobody has taken since.
    (tmp_path / "0001").write_text("1.2\n")
    carry(series, 1, "1.2")
    series.ended(1, released=True)
    assert not series.broke_off("1.2")


def test_a_death_before_a_pull_is_mended_by_it(series: OpenSeries, tmp_path: Path) -> None:
    (tmp_path / "0001").write_text("1.2\n1.3\n")
    series.mend_all(["1.2"])
    assert [series.broke_off(uid) for uid in ("1.2", "1.3")] == [False, True]
