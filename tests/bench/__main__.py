"""``make bench``: receiving, reading and encoding beside peers, stages and way of one series, an audit of many.

The part ``thousand``, which takes half an hour, is made where it is named.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import audit, encoding, reading, receiving, scale_page, speed_page, thousand, ticks, way
from tests.bench.figures import Row, print_json, print_table
from tests.bench.lungs import by_simpleitk
from tests.support import guarded
from worker.analysis import lungs, patterns, quantify
from worker.analysis.patterns import model
from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series
from worker.reading import series
from worker.settings import WorkerSettings

USUAL = ("receiving", "reading", "encoding", "stages", "way", "audit")
PARTS = (*USUAL, "thousand")
REPOSITORY = Path(__file__).parents[2]


def medians(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the median seconds and processor seconds of a few runs, after one that does not count."""
    work()
    times = []
    for _ in range(rounds):
        started = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    seconds, cpu_s = (statistics.median(kind) for kind in zip(*times, strict=True))
    return seconds, cpu_s


def reading_beside_peers(folder: Path, home: Path, asked: argparse.Namespace) -> Iterator[Row]:
    """From files to HU, beside SimpleITK's series reader and plain pydicom, which check nothing."""
    for stored in reading.ENCODINGS:
        series_folder = reading.write(sorted(folder.iterdir()), home / stored, stored, asked.read_slices)
        for reader in reading.READERS:
            found = reading.measured(reader, series_folder, asked.rounds)
            yield {"encoding": stored, "slices": f"{asked.read_slices}", "reader": reader} | {
                "seconds": found.seconds,
                "processor s": found.cpu_s,
                "peak, MB": found.peak_mb,
            }


def encoding_beside_peers(prepared: Path, asked: argparse.Namespace) -> Iterator[Row]:
    """From masks to a SEG file, beside highdicom."""
    for count in asked.encode_slices:
        for encoder in encoding.ENCODERS:
            found = encoding.measured(encoder, prepared, count, asked.rounds)
            yield {"slices": f"{count}", "encoder": encoder} | {
                "seconds": found.seconds,
                "processor s": found.cpu_s,
                "the first": found.first_cpu_s,
                "peak, MB": found.peak_mb,
                "of it encoding": found.peak_mb - found.before_mb,
                "files, MB": found.file_mb,
            }


def stages(folder: Path, asked: argparse.Namespace) -> Iterator[Row]:
    """Slices per second; the lungs beside SimpleITK, the rest has no peer here."""
    volume = series.read(sorted(folder.iterdir())).volume
    lung_mask = lungs.segment(volume)
    network = model.load(WorkerSettings().weights, "cpu")
    found = patterns.segment(volume, lung_mask, network)
    for name, work in (
        ("lungs", lambda: lungs.segment(volume)),
        ("lungs by SimpleITK, air alone", lambda: by_simpleitk(volume)),
        ("patterns", lambda: patterns.segment(volume, lung_mask, network)),
        ("quantify", lambda: quantify.assess(volume, lung_mask, found)),
    ):
        seconds, cpu_s = medians(work, asked.rounds)
        yield {"stage": name, "seconds": seconds, "processor s": cpu_s, "slices/s": asked.slices / seconds}


def audited(asked: argparse.Namespace) -> dict[str, list[Row]]:
    """Return the times of an auditor's questions, and how the rows grow."""
    figures = audit.measured(asked.audit_series, asked.audit_images, asked.rounds)
    if asked.audit_page:
        audit.write_page(figures, asked.audit_series, asked.audit_images)
    return {f"audit, {name}": rows for name, rows in figures.items()}


def a_thousand(asked: argparse.Namespace) -> dict[str, list[Row]]:
    """Return what each of many series costs, and what is asked again and again beside many."""
    with tempfile.TemporaryDirectory(prefix="scleroscan-bench-") as name:
        found = thousand.measured(Path(name), asked.thousand_series)
    found["asked"] = list(ticks.measured((asked.thousand_series, asked.audit_series), ticks.IMAGES, asked.rounds))
    scale_page.write(asked.page, found, asked.audit_series)
    return {f"thousand, {name}": rows for name, rows in found.items()}


def measured(home: Path, asked: argparse.Namespace) -> dict[str, list[Row]]:
    """Return the rows of every part asked for."""
    found: dict[str, list[Row]] = {}
    if "receiving" in asked.parts:
        found["receiving"] = list(receiving.compare(home, asked.rounds, asked.slices))
    if "way" in asked.parts:
        found["way"] = list(way.measured(home / "way", tuple(asked.way_slices), asked.data))
        speed_page.write(asked.page, found["way"])
    of_many = {"audit": audited, "thousand": a_thousand}
    for part in (one for one in of_many if one in asked.parts):
        found |= of_many[part](asked)
    if {"reading", "encoding", "stages"} & set(asked.parts):
        phantom = render(PhantomSpec(seed=1, shape=(asked.slices, 512, 512)))
        write_series(phantom, home / "ct", PhantomIdentity())
    if "reading" in asked.parts:
        found["reading"] = list(reading_beside_peers(home / "ct", home, asked))
        reading.write_page(asked.page, found["reading"])
    if "encoding" in asked.parts:
        prepared = encoding.prepare(home / "masks", home / "ct", phantom.lungs, phantom.patterns)
        found["encoding"] = list(encoding_beside_peers(prepared, asked))
        encoding.write_page(asked.page, found["encoding"])
    if "stages" in asked.parts:
        found["stages"] = list(stages(home / "ct", asked))
    return found


def main() -> int:
    """Run what is asked for; print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=PARTS, default=list(USUAL))
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the median is told")
    parser.add_argument("--slices", type=int, default=110, help="slices of a series that is sent or measured")
    parser.add_argument("--read-slices", type=int, default=300, help="slices of a series that is read")
    parser.add_argument("--encode-slices", type=int, nargs="+", default=encoding.COUNTS, help="slices of SEGs")
    parser.add_argument("--way-slices", type=int, nargs="+", default=way.COUNTS, help="slices of phantoms on the way")
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data", help="folder of real CT")
    parser.add_argument("--page", type=Path, default=REPOSITORY / "docs" / "evaluation", help="where pages are written")
    parser.add_argument("--audit-series", type=int, default=100_000, help="series of the site that is audited")
    parser.add_argument("--audit-images", type=int, default=10, help="images of each of them")
    parser.add_argument("--audit-page", action="store_true", help="write docs/evaluation/audit.md")
    parser.add_argument("--thousand-series", type=int, default=1000, help="series that go through a whole site")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scleroscan-bench-") as name:
        found = measured(Path(name), asked)
    if asked.json:
        print_json(found)
        return 0
    for part, rows in found.items():
        rounds = "one round" if part == "way" else f"medians of {asked.rounds} rounds"
        print_table(f"{part}: {rounds}, slices of 512 × 512", rows)
    return 0


if __name__ == "__main__":
    sys.exit(guarded.run(main))
