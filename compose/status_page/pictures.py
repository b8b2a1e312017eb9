"""The pictures of a result: the overlays and the page, from the files of the job, and no other than were written."""

import hashlib
from io import BytesIO
from pathlib import Path

from PIL import Image
from pydicom import dcmread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from compose.status_page.exam import ExamPage
from compose.status_page.logins import Login
from compose.status_page.picture_names import FRAMES, OVERLAY, pictures_of
from db.states import OutputKind
from db.tables import Output


class Pictures:
    """Answers with a picture."""

    def __init__(self, exam_page: ExamPage, results: Path) -> None:
        self._exam_page, self._results = exam_page, results.absolute()

    def show(self, request: Request, login: Login) -> Response:
        """Return a picture as PNG."""
        series_uid, name = request.path_params["series_uid"], request.path_params["name"]
        record = self._exam_page.record(series_uid)
        if name not in {one.name for one in pictures_of(record)}:
            raise HTTPException(404, "There is no such picture.")
        self._exam_page.note_unless_opened(login, series_uid)
        kind = OutputKind.PICTURE if name == OVERLAY else OutputKind.PAGE
        (output, *_) = (one for one in record.outputs if one.kind == kind)
        content = self._content(output)
        png = content if kind == OutputKind.PICTURE else _frame(content, FRAMES.index(name))
        return Response(png, media_type="image/png")

    def _content(self, output: Output) -> bytes:
        """Return a file as it was written. Raises 404 where it is gone, changed, or none of the results folder."""
        path = Path(output.path).resolve()
        try:
            content = path.read_bytes() if path.is_relative_to(self._results.resolve()) else b""
        except OSError:
            content = b""
        if hashlib.sha256(content).hexdigest() != output.digest:
            raise HTTPException(404, "The file is gone, or was changed since it was written.")
        return content


def _frame(content: bytes, number: int) -> bytes:
    page = BytesIO()
    Image.fromarray(dcmread(BytesIO(content)).pixel_array[number]).save(page, "PNG", compress_level=1)
    return page.getvalue()
