"""The colours of findings, the same in SEG, page and pictures.

They are those of Okabe and Ito, which people who see colours otherwise can tell apart, and differ in lightness too.
"""

from typing import Final

Colour = tuple[int, int, int]
GROUND_GLASS: Final = (240, 228, 66)
RETICULATION: Final = (213, 94, 0)
CONSOLIDATION: Final = (86, 180, 233)
LEFT_LUNG: Final = (0, 158, 115)
RIGHT_LUNG: Final = (204, 121, 167)
# Seen on white tissue and on dark lung.
OUTLINE: Final = LEFT_LUNG
