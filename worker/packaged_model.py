"""The model that comes with the package, pinned: weights and card that are both exchanged do not pass for it.

Who ships other weights changes these two lines alone.
"""

from pathlib import Path
from typing import Final

WEIGHTS: Final = Path(__file__).parent / "models" / "ssc-ild-unet-4-synthetic.safetensors"
DIGEST: Final = "d3367639432d417d737a7c7c35239b2de0ea67ec70f52b580fbbdfc38c9780d8"
