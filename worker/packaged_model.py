"""The model that comes with the package, pinned: weights and card that are both exchanged do not pass for it.

Who ships other weights changes these two lines alone.
"""

from pathlib import Path
from typing import Final

WEIGHTS: Final = Path(__file__).parent / "models" / "ssc-ild-unet-2-synthetic.safetensors"
DIGEST: Final = "183cefbc11a63a079de0c50d5a3500939a93fbb885e230c5c2f55f9ea2c35fd8"
