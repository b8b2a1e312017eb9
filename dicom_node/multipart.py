"""multipart/related as DICOMweb uses it (PS3.18 8.6.1.2), read piece by piece in both directions."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

RELATED, DICOM = "multipart/related", "application/dicom"


class Malformed(Exception):
    """The body is not what its content type says, or a part is larger than allowed."""


class TooLarge(Malformed):
    """A part is larger than allowed."""


class Body(Protocol):
    """Takes the body of one part."""

    def extend(self, content: bytes, /) -> None:
        """Take the next bytes."""

    def finish(self) -> None:
        """Do what is to be done with the whole body."""

    def discard(self) -> None:
        """Drop a body whose end does not come."""


def boundary(content_type: str) -> tuple[str, bytes]:
    """Return (media type of the root part, boundary) of a multipart/related message.

    Raises
    ------
    Malformed
        It is no multipart/related, or has no boundary.
    """
    kind, options = parse_options_header(content_type)
    if kind.decode("latin-1").lower() != RELATED or not options.get(b"boundary"):
        raise Malformed(f"the content type is not {RELATED} with a boundary")
    return options.get(b"type", b"").decode("latin-1").lower(), options[b"boundary"]


class PartReader:
    """Gives each part to a body of its own as it comes in; nothing is held in memory.

    Parameters
    ----------
    limiter
        The boundary.
    max_bytes
        Largest body of a part.
    new_body
        Makes the body that takes the next part.

    Raises
    ------
    Malformed
        The boundary is longer than any boundary may be.
    """

    def __init__(self, limiter: bytes, max_bytes: int, new_body: Callable[[], Body]) -> None:
        self._max_bytes, self._new_body = max_bytes, new_body
        self._body: Body | None = None
        self._left, self._ended = 0, False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_part_data": self._take,
            "on_part_end": self._finish,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(limiter, callbacks)
        except FormParserError as error:
            raise Malformed("the boundary is too long") from error

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises Malformed or TooLarge."""
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise Malformed("the multipart body is damaged") from error

    def close(self) -> None:
        """Raise Malformed unless the closing boundary has come."""
        if not self._ended:
            raise Malformed("the multipart body ends early")

    def discard(self) -> None:
        """Drop the part whose end has not come, if there is one."""
        if self._body is not None:
            self._body.discard()

    def _begin(self) -> None:
        self._body, self._left = self._new_body(), self._max_bytes

    def _take(self, data: bytes, start: int, end: int) -> None:
        self._left -= end - start
        if self._left < 0:
            raise TooLarge(f"a part is larger than {self._max_bytes} bytes")
        if self._body is not None:
            self._body.extend(data[start:end])

    def _finish(self) -> None:
        if self._body is not None:
            self._body.finish()
            self._body = None

    def _end(self) -> None:
        self._ended = True
