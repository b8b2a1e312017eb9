"""The staging of Goh et al. (10.1164/rccm.200706-877OC) for lung disease in systemic sclerosis."""

from enum import StrEnum

LIMITED_BELOW_PCT, EXTENSIVE_ABOVE_PCT = 10.0, 30.0
FVC_EXTENSIVE_BELOW_PCT = 70.0


class Goh(StrEnum):
    """Goh's category; between 10 and 30 % the forced vital capacity decides, which CT does not know."""

    limited = "limited"
    indeterminate = "indeterminate"
    extensive = "extensive"

    @property
    def words(self) -> str:
        """The category for people."""
        return f"{self}, FVC required" if self is Goh.indeterminate else str(self)


def category(extent_pct: float, fvc_pct: float | None = None) -> Goh:
    """Return the category of an extent in percent of lung.

    ``fvc_pct`` is the forced vital capacity in percent of predicted, as it was measured; without it an extent of 10 to
    30 % is indeterminate.
    """
    if extent_pct < LIMITED_BELOW_PCT:
        return Goh.limited
    if extent_pct > EXTENSIVE_ABOVE_PCT:
        return Goh.extensive
    if fvc_pct is None:
        return Goh.indeterminate
    return Goh.extensive if fvc_pct < FVC_EXTENSIVE_BELOW_PCT else Goh.limited
