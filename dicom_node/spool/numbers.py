"""Numbers as headers write them: finite and bounded, or none."""

from math import nan

# Millimetres or degrees: nothing in a scanner is larger.
LARGEST = 1e9
# PS3.5 6.2: a decimal string has 16 characters; some devices write what their floats print as.
LONGEST = 64


def finite(text: str, largest: float = LARGEST) -> float | None:
    """Return the number of a text; None where it is none, infinite, or beyond ``largest``."""
    try:
        number = float(text) if len(text) <= LONGEST else nan
    except ValueError:
        return None
    return number if abs(number) <= largest else None


def count(text: str, most: int) -> int | None:
    """Return the whole number of a text; None where it is none, negative, or more than ``most``."""
    number = finite(text, most)
    return int(number) if number is not None and number >= 0 and number.is_integer() else None
