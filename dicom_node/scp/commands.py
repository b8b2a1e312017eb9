"""Reads the command set of a C-STORE request and writes the PDU of its response (PS3.7 9.3.1, PS3.8 9.3.5)."""

from dataclasses import dataclass
from struct import Struct, error

P_DATA_TF = 0x04
# PS3.8 E.2: the message control header of a fragment.
COMMAND, LAST = 0x01, 0x02
SOP_CLASS, FIELD, MESSAGE_ID, ANSWERED_ID, DATA_SET_TYPE, STATUS, SOP_INSTANCE = (
    0x0002,
    0x0100,
    0x0110,
    0x0120,
    0x0800,
    0x0900,
    0x1000,
)
C_STORE_RQ, C_STORE_RSP, NO_DATA_SET = 0x0001, 0x8001, 0x0101
# PS3.7 6.3: a command set is encoded in Implicit VR Little Endian, and all its elements have group 0000.
ELEMENT = Struct("<HHL")
SHORT, LONG = Struct("<H"), Struct("<L")
PDU_AND_FRAGMENT = Struct(">BxLLBB")


@dataclass(frozen=True)
class StoreRequest:
    """A C-STORE request that is followed by a data set."""

    context_id: int
    message_id: int
    sop_class: str
    sop_uid: str


def read_request(command: bytes, context_id: int) -> StoreRequest | None:
    """Return the C-STORE request in a command set; None for another message, or where a needed element is absent."""
    try:
        values = _values(command)
        if _short(values[FIELD]) != C_STORE_RQ or _short(values[DATA_SET_TYPE]) == NO_DATA_SET:
            return None
        return StoreRequest(context_id, _short(values[MESSAGE_ID]), _uid(values[SOP_CLASS]), _uid(values[SOP_INSTANCE]))
    except (KeyError, UnicodeDecodeError, error):
        return None


def has_data_set(command: bytes) -> bool:
    """Whether a command set says that a data set follows it."""
    try:
        return _short(_values(command)[DATA_SET_TYPE]) != NO_DATA_SET
    except (KeyError, error):
        return False


def _values(command: bytes) -> dict[int, bytes]:
    values, at = {}, 0
    while at < len(command):
        _, element, length = ELEMENT.unpack_from(command, at)
        at += ELEMENT.size
        values[element] = command[at : at + length]
        at += length
    return values


def _short(value: bytes) -> int:
    return int(SHORT.unpack(value)[0])


def _uid(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii")


def write_answer(request: StoreRequest, status: int) -> bytes:
    """Return the C-STORE response to a request as one whole P-DATA-TF PDU."""
    body = b"".join(
        (
            _element(SOP_CLASS, _padded(request.sop_class)),
            _element(FIELD, SHORT.pack(C_STORE_RSP)),
            _element(ANSWERED_ID, SHORT.pack(request.message_id)),
            _element(DATA_SET_TYPE, SHORT.pack(NO_DATA_SET)),
            _element(STATUS, SHORT.pack(status)),
            _element(SOP_INSTANCE, _padded(request.sop_uid)),
        )
    )
    command = _element(0x0000, LONG.pack(len(body))) + body
    fragment = len(command) + 2
    return PDU_AND_FRAGMENT.pack(P_DATA_TF, fragment + 4, fragment, request.context_id, COMMAND | LAST) + command


def _element(element: int, value: bytes) -> bytes:
    return ELEMENT.pack(0, element, len(value)) + value


def _padded(uid: str) -> bytes:
    value = uid.encode("ascii")
    return value + b"\0" * (len(value) % 2)
