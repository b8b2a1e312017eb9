"""What every frame of the page has: its size, colours and letters, the date of the exam and who made it."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from worker.analysis.records import Assessment, LungMask, PatternMap, Region
from worker.analysis.serial import Comparison
from worker.reading import exam
from worker.reading.volume import CTVolume
from worker.results import palette

SIZE, MARGIN = 1024, 32
BACKGROUND, TEXT, DIM, RULE = (12, 14, 18), (238, 240, 245), (165, 172, 186), (60, 66, 78)
NO_DAY = "unknown date"
RESEARCH = "research software: not a medical device"
PATTERNS = {
    Region.GROUND_GLASS: ("Ground glass", palette.GROUND_GLASS),
    Region.RETICULATION: ("Reticulation", palette.RETICULATION),
    Region.CONSOLIDATION: ("Consolidation", palette.CONSOLIDATION),
}
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
Rgb = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Shown:
    """What the page shows. ``acquired`` is the date of the exam, YYYYMMDD; ``made_by`` names software and model."""

    volume: CTVolume
    lungs: LungMask
    patterns: PatternMap
    assessment: Assessment
    comparison: Comparison | None
    acquired: str
    made_by: str
    statement: str


def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / f"DejaVuSans{'-Bold' if bold else ''}.ttf", size)


def begun(shown: Shown, title: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    sheet = Image.new("RGB", (SIZE, SIZE), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 20), title, TEXT, font(28, bold=True))
    draw.text((SIZE - MARGIN, 28), f"exam of {exam.day(shown.acquired) or NO_DAY}", DIM, font(18), anchor="ra")
    draw.line((MARGIN, 64, SIZE - MARGIN, 64), RULE, 2)
    draw.text((MARGIN, SIZE - 60), f"{RESEARCH.capitalize()}.  {shown.made_by}", TEXT, font(16, bold=True))
    draw.text((MARGIN, SIZE - 34), shown.statement, DIM, font(13))
    return sheet, draw
