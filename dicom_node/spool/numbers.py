"""Reads numbers from the texts of a header: finite and bounded, or None."""

from math import nan

# No length in millimetres or angle in degrees of a scanner is larger.
LARGEST = 1e9
# PS3.5 6.2 allows 16 characters in a decimal string; some devices write all digits of their floating-point numbers.
LONGEST = 64


def finite(text: str, largest: float = LARGEST) -> float | None:
    """Return the number in a text; None where the text is no number, or it is infinite or beyond ``largest``."""
    try:
        number = float(text) if len(text) <= LONGEST else nan
    except ValueError:
        return None
    return number if abs(number) <= largest else None


def count(text: str, most: int) -> int | None:
    """Return the whole number in a text; None where there is none, or it is negative or more than ``most``."""
    number = finite(text, most)
    return int(number) if number is not None and number >= 0 and number.is_integer() else None
