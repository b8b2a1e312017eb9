"""The model that comes with the package, pinned: weights and card that are both exchanged do not pass for it.

Who ships other weights changes these two lines alone.
"""

from pathlib import Path
from typing import Final

WEIGHTS: Final = Path(__file__).parent / "models" / "ssc-ild-unet-3-synthetic.safetensors"
DIGEST: Final = "7f5f76773cff8baf9ba867f6f817099d76223b972d418ed4177d715044a6788b"
