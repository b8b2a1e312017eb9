"""What one reader has marked on one image: one mask that holds all kinds as values, or a mask for each kind."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.training.data.dataset_file import LabelValues
from worker.training.data.scans import Kind

BACKGROUND = 0
Where = NDArray[np.bool_]


class Layer(Protocol):
    """One mask as it was written."""

    def voxels(self) -> dict[float, int]:
        """Return the number of voxels of each value but 0."""
        ...

    def where(self, values: Collection[int] | None) -> Where:
        """Return where any of the values stand, or where anything is marked, bool (slices, rows, columns)."""
        ...


@dataclass(frozen=True, eq=False)
class LabelImage:
    """A mask whose values are labels, (slices, rows, columns)."""

    array: NDArray[np.generic]

    def voxels(self) -> dict[float, int]:
        values, counts = np.unique(self.array, return_counts=True)
        return {float(v): int(n) for v, n in zip(values, counts, strict=True) if v != BACKGROUND}

    def where(self, values: Collection[int] | None) -> Where:
        return np.asarray(self.array != BACKGROUND if values is None else np.isin(self.array, list(values)))


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments of a DICOM SEG by number, which may overlap."""

    masks: Mapping[int, Where]
    shape: tuple[int, ...]

    def voxels(self) -> dict[float, int]:
        return {float(number): int(np.count_nonzero(mask)) for number, mask in self.masks.items() if mask.any()}

    def where(self, values: Collection[int] | None) -> Where:
        chosen = [mask for number, mask in self.masks.items() if values is None or number in values]
        return np.asarray(np.logical_or.reduce(chosen, initial=False) | np.zeros(self.shape, np.bool_))


@dataclass(frozen=True, eq=False)
class Marks:
    """The masks of one scan by what they hold; None is one that holds all kinds as ``values``."""

    layers: Mapping[Kind | None, Layer]
    values: LabelValues | None

    def holds(self, kind: Kind) -> bool:
        """Whether this kind was to be marked at all."""
        return kind in self.layers or (None in self.layers and bool(self._declared(kind)))

    def where(self, kind: Kind) -> Where:
        """Return where a kind is marked, bool (slices, rows, columns)."""
        if kind in self.layers:
            return self.layers[kind].where(None)
        return next(iter(self.layers.values())).where(self._declared(kind) if None in self.layers else ())

    def found(self) -> dict[tuple[str, Kind | None], int]:
        """Return the number of voxels by (what holds them, as people write it; the kind that it means).

        What is declared stands there with 0 where it marks nothing; a value that means nothing has no kind.
        """
        counts: dict[tuple[str, Kind | None], int] = {}
        for kind, layer in self.layers.items():
            if kind is None:
                counts |= self._by_value(layer.voxels())
            else:
                counts[f"file of {kind}", kind] = sum(layer.voxels().values())
        return counts

    def _by_value(self, voxels: Mapping[float, int]) -> dict[tuple[str, Kind | None], int]:
        meaning = {float(value): kind for kind in reversed(Kind) for value in self._declared(kind)}
        return {(f"{value:g}", meaning.get(value)): voxels.get(value, 0) for value in sorted({*meaning, *voxels})}

    def _declared(self, kind: Kind) -> tuple[int, ...]:
        return self.values.of(kind) if self.values else ()
