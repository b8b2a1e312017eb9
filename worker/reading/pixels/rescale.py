"""Turns stored bits into Hounsfield units (PS3.3 C.11.1); padding and values below air become −1024."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from worker.reading.pixels.decoders import Stored
from worker.reading.volume import HU_FLOOR

HU_CEILING = np.iinfo(np.int16).max
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Rescale:
    """What one slice says of its stored values.

    Attributes
    ----------
    padding
        Lowest and highest stored value, as bits without sign, that stand for no measurement; None without padding.
    """

    bits_allocated: int
    bits_stored: int
    signed: bool
    slope: float
    intercept: float
    padding: tuple[int, int] | None

    @cached_property
    def is_shift(self) -> bool:
        """Whether adding the intercept in 16 bits is all there is to do: padding needs no other care than clipping."""
        whole = self.slope == 1 and self.intercept.is_integer() and abs(self.intercept) <= HU_CEILING
        if not whole or self.bits_allocated != 16:
            return False
        return all((ends + self.intercept <= HU_FLOOR).all() and self._are_stored(ends) for ends in self._paddings)

    def is_padding(self, patterns: Numbers) -> NDArray[np.bool_]:
        """Tell which bit patterns stand for no measurement.

        Padding may use the bits above those stored (PS3.3 C.7.5.1.1.2), which no measurement does: a pattern is padding
        by all of its bits, or by those stored.
        """
        by_all, by_stored = (_numbers(patterns, bits, self.signed) for bits in (self.bits_allocated, self.bits_stored))
        found = np.zeros(patterns.shape, np.bool_)
        for ends in self._paddings:
            for numbers in (by_all, by_stored):
                found |= (numbers >= ends.min()) & (numbers <= ends.max())
        return found

    @property
    def _paddings(self) -> tuple[Numbers, ...]:
        """The ends of the range of padding as numbers, in each way that they can be meant."""
        if self.padding is None:
            return ()
        # Read as the stored values are: files often give the padding another sign than PixelRepresentation says.
        ends = np.array(self.padding)
        as_allocated = _numbers(ends, self.bits_allocated, self.signed)
        # Without bits above those stored: a negative number whose sign was not extended.
        if (ends >> self.bits_stored).any():
            return (as_allocated,)
        return as_allocated, _numbers(ends, self.bits_stored, self.signed)

    def _are_stored(self, ends: Numbers) -> bool:
        patterns = ends & ((1 << self.bits_allocated) - 1)
        return bool((_numbers(patterns, self.bits_stored, self.signed) == ends).all())


def to_hounsfield(stored: Stored, rescale: Rescale, target: NDArray[np.int16]) -> None:
    """Write Hounsfield units into ``target``, which ``stored`` may lie in already.

    Parameters
    ----------
    stored
        Bit patterns without sign, of the shape of ``target``. Bits above those stored count for nothing.
    """
    if not rescale.is_shift or stored.dtype != np.uint16:
        # ``clip`` writes to the target without a copy; every pattern is in the table.
        np.take(_table(rescale), stored, out=target, mode="clip")
        return
    bits = target.view(np.uint16)
    if not np.may_share_memory(stored, bits):
        np.copyto(bits, stored)
    _shift(bits, rescale)


def _shift(bits: NDArray[np.uint16], rescale: Rescale) -> None:
    """Add the intercept in place: clipped before it, no value leaves the range."""
    spare = 16 - rescale.bits_stored
    values = bits.view(np.int16) if rescale.signed else bits
    if spare and (rescale.signed or int(bits.max()) >> rescale.bits_stored):
        np.left_shift(values, spare, out=values)
        np.right_shift(values, spare, out=values)
    kind, intercept = np.iinfo(values.dtype), int(rescale.intercept)
    low, high = max(HU_FLOOR - intercept, kind.min), min(HU_CEILING - intercept, kind.max)
    if low > kind.min or high < kind.max >> spare:
        # In the numbers' own type: Python's would be widened to 64 bits first.
        np.clip(values, values.dtype.type(low), values.dtype.type(high), out=values)
    np.add(bits, np.uint16(intercept % 2**16), out=bits)


@lru_cache(maxsize=64)
def _table(rescale: Rescale) -> NDArray[np.int16]:
    """Return the Hounsfield units of every bit pattern, int16 (2 ** bits_allocated,)."""
    patterns = np.arange(2**rescale.bits_allocated, dtype=np.int64)
    values = _numbers(patterns, rescale.bits_stored, rescale.signed)
    hu: NDArray[np.int16] = np.clip(np.rint(values * rescale.slope + rescale.intercept), HU_FLOOR, HU_CEILING).astype(
        np.int16
    )
    hu[rescale.is_padding(patterns)] = HU_FLOOR
    hu.flags.writeable = False
    return hu


def _numbers(patterns: Numbers, bits: int, signed: bool) -> Numbers:
    """Read the lowest ``bits`` of bit patterns, as two's complement where signed."""
    values = patterns & ((1 << bits) - 1)
    return np.where(values >> (bits - 1), values - (1 << bits), values) if signed else values
