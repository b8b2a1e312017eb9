"""Hostile frames: each in an image that a node receives, beside sound slices in a series that the reader reads."""

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

import numpy as np
from pydicom import Dataset

from tests.fuzz import codestreams
from tests.fuzz.node import Node
from tests.fuzz.reader import Reader, digest
from tests.support import ct_files
from tests.support.codestreams import LOSSLESS, Values
from tests.support.node_senders import answer_to, association, encoded, series_uid

# As few slices as are a series, as small as makes a codestream of some hundred bytes and more than one block.
SCAN = ct_files.Scan(shape=(10, 64, 64), spacing_mm=(2.5, 0.5, 0.5))
# Which slice of the hostile series is replaced.
HOSTILE = 3
# Numbers of the series that hold hostile frames lie above those of sound series.
HOSTILE_SERIES = 1_000_000
PIXEL_DATA, DELIMITER = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff", b"\xfe\xff\xdd\xe0\0\0\0\0"
INTERCEPT = -1024


class Frames:
    """Sends images with hostile frames to a node, and reads each among the sound slices of its series.

    Attributes
    ----------
    outcomes
        What came of them: ``refused on receipt``, a code of the reader, or ``read``.
    slowest_s
        The longest that reading a series took.
    server_errors
        None: nothing goes to STOW-RS.
    """

    server_errors = 0

    def __init__(self, node: Node, folder: Path, stack: ExitStack, seed: int) -> None:
        self._node, self._folder, self._seed = node, folder, seed
        self.reader = Reader(node.log, stack)
        self.outcomes: Counter[str] = Counter()
        self.slowest_s = 0.0

    def fire(self, numbers: Sequence[int]) -> None:
        """Send the images of these numbers, then read each of those that were taken."""
        series = HOSTILE_SERIES + numbers[0]
        images = [self._image(series, number) for number in numbers]
        taken = send(self._node, images)
        beside = _beside(self._folder / str(series), series)
        found = self._node.registered(series, taken)
        self.outcomes["refused on receipt"] += len(images) - len(found)
        for path in found.values():
            came = self.reader.read([*beside, path])
            self.outcomes["read" if len(came.outcome) == len(digest(np.zeros(1, np.int16))) else came.outcome] += 1
            self.slowest_s = max(self.slowest_s, came.seconds)
        for path in beside:
            path.unlink()

    def _image(self, series: int, number: int) -> tuple[str, Dataset, bytes]:
        chance = random.Random(f"{self._seed} {number}")
        ds = slices(series)[HOSTILE]
        ds.SOPInstanceUID = f"{series_uid(series)}.{number + 100}"
        syntax, pixels = codestreams.hostile(stored(ds), chance)
        return syntax, ds, pixels

    def send_sound(self, number: int) -> None:
        """Send a sound series, compressed in one of the lossless syntaxes."""
        syntax = list(LOSSLESS)[number % len(LOSSLESS)]
        send(self._node, [(syntax, ds, codestreams.sound(stored(ds), syntax)) for ds in slices(number)])

    def lost_of(self, number: int) -> int:
        """Return 0 where a sound series is read with every value right, else how many images it has."""
        truth = np.stack([stored(ds).astype(np.int16) + np.int16(INTERCEPT) for ds in slices(number)])
        paths = self._node.registered(number, len(truth)).values()
        return 0 if self.reader.read(list(paths)).outcome == digest(truth) else len(truth)

    @property
    def stopped(self) -> int:
        """How often the reader stopped."""
        return self.reader.stopped

    @property
    def memory_mb(self) -> float:
        """The most memory that the reader held."""
        return self.reader.memory_mb


def send(node: Node, images: Sequence[tuple[str, Dataset, bytes]]) -> int:
    """Send images (transfer syntax, header, value of PixelData), and return how many were answered with success."""
    taken = 0
    for syntax, group in groupby(sorted(images, key=lambda one: one[0]), key=lambda one: one[0]):
        with association(node.port, syntax=syntax) as opened:
            for _, ds, pixels in group:
                content = encoded(ds) + PIXEL_DATA + pixels + DELIMITER
                taken += answer_to(opened, content, ds.SOPInstanceUID) == 0x0000
    return taken


def slices(series: int) -> list[Dataset]:
    """Return a sound series with UIDs of its own, as :func:`ct_files.slices` makes it."""
    datasets = ct_files.slices(SCAN)
    for number, ds in enumerate(datasets):
        ds.StudyInstanceUID = f"{series_uid(series)}.0"
        ds.SeriesInstanceUID, ds.SOPInstanceUID = series_uid(series), f"{series_uid(series)}.{number + 1}"
    return datasets


def _beside(folder: Path, series: int) -> list[Path]:
    datasets = slices(series)
    del datasets[HOSTILE]
    return ct_files.write(folder, datasets)


def stored(ds: Dataset) -> Values:
    """Take the pixels out of a data set, as stored values (rows, columns)."""
    return np.frombuffer(ds.pop("PixelData").value, np.uint16).reshape(ds.Rows, ds.Columns)
