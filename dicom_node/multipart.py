"""multipart/related as DICOMweb uses it (PS3.18 8.6.1.2), read piece by piece in both directions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

RELATED, DICOM = "multipart/related", "application/dicom"


class Malformed(Exception):
    """The body is not what its content type says, or a part is larger than allowed."""


class TooLarge(Malformed):
    """A part is larger than allowed."""


@dataclass
class Part:
    """One part: its headers by lower-case name, and its body."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    @property
    def media_type(self) -> str:
        """The media type of the part, without parameters."""
        kind, _ = parse_options_header(self.headers.get("content-type", ""))
        return kind.decode("latin-1").lower()


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
    """Yields parts as the body comes in; never holds more than one.

    Parameters
    ----------
    limiter
        The boundary.
    max_bytes
        Largest body of a part.

    Raises
    ------
    Malformed
        The boundary is longer than any boundary may be.
    """

    def __init__(self, limiter: bytes, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._part, self._name, self._value = Part(), bytearray(), bytearray()
        self._done: list[Part] = []
        self._ended = False
        try:
            self._parser = MultipartParser(limiter, self._callbacks())
        except FormParserError as error:
            raise Malformed("the boundary is too long") from error

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_begin": self._begin_header,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": self._take,
            "on_part_end": lambda: self._done.append(self._part),
            "on_end": self._end,
        }

    def feed(self, chunk: bytes) -> Iterator[Part]:
        """Take the next bytes and yield the parts they complete. Raises Malformed or TooLarge."""
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise Malformed("the multipart body is damaged") from error
        done, self._done = self._done, []
        yield from done

    def close(self) -> None:
        """Raise Malformed unless the closing boundary has come."""
        if not self._ended:
            raise Malformed("the multipart body ends early")

    def _begin(self) -> None:
        self._part = Part()

    def _begin_header(self) -> None:
        self._name, self._value = bytearray(), bytearray()

    def _end_header(self) -> None:
        self._part.headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")

    def _take(self, data: bytes, start: int, end: int) -> None:
        if len(self._part.body) + end - start > self._max_bytes:
            raise TooLarge(f"a part is larger than {self._max_bytes} bytes")
        self._part.body.extend(data[start:end])

    def _end(self) -> None:
        self._ended = True
