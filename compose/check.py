"""What one check of the doctor found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """What one check found. ``mend`` is empty where there is nothing to do; with ``ok`` it is a note, and no fault."""

    name: str
    ok: bool
    found: str
    mend: str = ""
