"""The phantom of a demo is computed by the first, and kept with its truth for the next."""

from pathlib import Path

from compose import demo_folder
from worker.analysis.records import WHOLE, Assessment, Measurement, Quantity, Region, Side, Unit

TRUTH = Assessment((Measurement(Region.TOTAL, Side.BOTH, WHOLE, Quantity.EXTENT, 20.125, Unit.PERCENT),))


def test_a_second_demo_computes_no_phantom(tmp_path: Path) -> None:
    computed: list[Path] = []

    def compute(folder: Path) -> Assessment:
        folder.mkdir(parents=True)
        (folder / f"{len(computed)}.dcm").write_bytes(b"")
        computed.append(folder)
        return TRUTH

    for _ in range(2):
        images, truth = demo_folder.phantom(tmp_path, "one spec", compute)
        assert truth == TRUTH
        assert [path.name for path in images.iterdir()] == ["0.dcm"]
    # Another phantom takes its place.
    images, _ = demo_folder.phantom(tmp_path, "another spec", compute)
    assert (len(computed), [path.name for path in images.iterdir()]) == (2, ["1.dcm"])
    assert [path.name for path in tmp_path.iterdir()] == ["phantom"]


def test_the_settings_of_a_demo_are_read_by_a_shell(tmp_path: Path) -> None:
    path = demo_folder.write_settings(tmp_path, {"DB_URL": "sqlite:///a b/'c'.db"})
    assert path.read_text() == "export DB_URL='sqlite:///a b/'\"'\"'c'\"'\"'.db'\n"
