"""A study as a reader has it before him: OHIF in a browser, what its lists say and which colours it shows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.support import services

# Software rendering: the machines of the tests have no graphics card.
ARGUMENTS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--no-sandbox"]
TIMEOUT_MS = 240_000
# OHIF and Cornerstone put their services on the window.
VIEWPORT = """(() => {
    const known = services.cornerstoneViewportService;
    return known.getCornerstoneViewport([...known.viewportsById.keys()][0]);
})()"""
SEGMENTS = """() => [...document.querySelectorAll('[data-cy=data-row]')].map(row => [
    row.querySelector('[data-cy=data-row-title]').innerText,
    row.querySelector('[data-cy=data-row-colorhex] [style*=background], [data-cy=data-row-colorhex][style*=background]')
        .style.backgroundColor.match(/\\d+/g).map(Number)
])"""
JUMP = f"""async uid => {{
    const viewport = {VIEWPORT};
    const index = viewport.getImageIds().findIndex(id => id.includes(uid + '/'));
    await cornerstone.utilities.jumpToSlice(viewport.element, {{ imageIndex: index }});
}}"""
SHOWN = f"uid => {VIEWPORT}.getCurrentImageId().includes(uid + '/')"
PLACES = f"""points => {{
    const viewport = {VIEWPORT}, box = viewport.element.getBoundingClientRect();
    return points.map(point => {{
        const [x, y] = viewport.worldToCanvas(point);
        return [box.x + x, box.y + y];
    }});
}}"""

DOCUMENT = "object[type='application/pdf']"
BYTES = """async shown => [...new Uint8Array(await (await fetch(shown.data)).arrayBuffer())]"""


class Reader:
    """Somebody who looks at one study."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def text(self) -> str:
        """Return all words on the screen."""
        return str(self._page.locator("body").inner_text())

    def open_series(self, name: str) -> None:
        """Open a series of the list as readers do, by a double click on its name."""
        self._page.get_by_text(name).first.dblclick()

    def wait_for(self, words: str) -> None:
        """Wait until words are on the screen."""
        self._page.get_by_text(words).first.wait_for()

    def open_panel(self) -> None:
        """Open the list of segments at the right."""
        self._page.locator("[data-cy=panelSegmentation-btn]").click()

    def segments(self) -> dict[str, tuple[int, ...]]:
        """Return the colour of each segment of the list, in its order."""
        return {label: tuple(colour) for label, colour in self._page.evaluate(SEGMENTS)}

    def shown_image(self) -> str:
        """Return the address of the image that is shown, its UIDs in it."""
        return str(self._page.evaluate(f"{VIEWPORT}.getCurrentImageId()"))

    def go_to(self, sop_uid: str) -> None:
        """Go to a slice."""
        self._page.evaluate(JUMP, sop_uid)
        self._page.wait_for_function(SHOWN, arg=sop_uid)

    def document(self) -> bytes:
        """Return the document that is shown."""
        shown = self._page.locator(DOCUMENT).first
        shown.wait_for(state="attached")
        return bytes(shown.evaluate(BYTES))

    def picture(self) -> NDArray[np.uint8]:
        """Return the screen as it is, (rows, columns, 3)."""
        return np.asarray(Image.open(BytesIO(self._page.screenshot())).convert("RGB"))

    def colours(self, points_mm: Sequence[Sequence[float]]) -> NDArray[np.int64]:
        """Return the colours (points, 3) that are seen at points in patient space, (x, y, z) in LPS mm."""
        places = np.rint(self._page.evaluate(PLACES, [list(map(float, point)) for point in points_mm])).astype(int)
        return self.picture()[places[:, 1], places[:, 0]].astype(int)


@contextmanager
def reading(address: str, study_uid: str) -> Iterator[Reader]:
    """Open a study in a browser for the length of the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=services.program("chromium"), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(TIMEOUT_MS)
        # The tour lies over everything.
        page.add_init_script("localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))")
        page.goto(f"{address}/viewer?StudyInstanceUIDs={study_uid}")
        page.locator("canvas").first.wait_for()
        try:
            yield Reader(page)
        finally:
            browser.close()
