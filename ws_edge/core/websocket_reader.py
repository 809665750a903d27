"""Client-to-server frames of RFC 6455 section 5: from bytes as they come to whole messages.

No extension is ever negotiated, so that a frame's payload is what it says. A message in fragments is put together; control
frames may stand between them (section 5.4).
"""

from __future__ import annotations

from typing import Final, NamedTuple

# What a frame is (section 5.2).
CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA


class Message(NamedTuple):
    """A whole message of the peer, or a control frame."""

    opcode: int
    payload: bytes


class ReadError(Exception):
    """What the peer sent cannot be read on. `MalformedFrame`, `MessageTooBig`."""


class MalformedFrame(ReadError):
    """It breaks a rule of RFC 6455."""


class MessageTooBig(ReadError):
    """A message is larger than the reader takes."""


_FIN: Final = 0x80
_RESERVED: Final = 0x70
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
_MASK_BYTES: Final = 4
# Of each longer form of length, the least that it may say (section 5.2): shorter forms say what is less.
_LEAST: Final = {126: 126, 127: 65_536}
_MAX_CONTROL_BYTES: Final = 125
# Of section 7.4.1 and IANA's registry; 3000 to 4999 are for libraries and applications (section 7.4.2).
_CLOSE_CODES: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
_OWN_CODES: Final = range(3000, 5000)


class WebSocketReader:
    """Takes bytes, gives messages.

    Args:
        max_bytes: The largest message; of a larger one only the header is read.
    """

    __slots__ = ("_at", "_data", "_fragments", "_max_bytes", "_opcode")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._data = b""
        self._at = 0
        # Of the message in fragments that is under way.
        self._opcode = 0
        self._fragments: bytearray | None = None

    @property
    def unread(self) -> int:
        """How many bytes wait, of a frame that is not whole or not yet asked for."""
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._data += data

    def read(self) -> Message | None:
        """Return the next message; None: it is not whole yet.

        Raises:
            MalformedFrame: The peer breaks the protocol.
            MessageTooBig: The message will not be taken.
        """
        while True:
            data, at = self._data, self._at
            have = len(data) - at
            if have < 2:
                break
            first, size = data[at], data[at + 1] & _LENGTH
            opcode = first & _OPCODE
            if first & _RESERVED or not data[at + 1] & _MASKED:
                raise MalformedFrame("a reserved bit is set, or the frame is not masked")
            start = at + 2 + _MASK_BYTES
            if size > _MAX_CONTROL_BYTES:
                extra = 2 if size == 126 else 8
                if have < 2 + extra:  # a message may still be in a form that it must not be in
                    self._check(opcode, first, size if opcode >= CLOSE else 0)
                    break
                form, size = size, int.from_bytes(data[at + 2 : at + 2 + extra], "big")
                if size < _LEAST[form]:
                    raise MalformedFrame("a length is not in its shortest form")
                start += extra
            self._check(opcode, first, size)
            end = start + size
            if len(data) < end:
                break
            self._at = end
            payload = _unmasked(data[start:end], data[start - _MASK_BYTES : start])
            if first & _FIN and opcode:
                return Message(opcode, payload)
            if message := self._fragment(opcode, payload, final=bool(first & _FIN)):
                return message
        self._data, self._at = self._data[self._at :], 0
        return None

    def _check(self, opcode: int, first: int, size: int) -> None:
        """Refuse a frame by its header, as far as it is there."""
        if opcode >= CLOSE:
            if opcode > PONG or size > _MAX_CONTROL_BYTES or not first & _FIN:
                raise MalformedFrame("a control frame that is unknown, too long or in fragments")
            return
        if opcode > BINARY:
            raise MalformedFrame("an unknown kind of frame")
        if (opcode == CONTINUATION) is (self._fragments is None):
            raise MalformedFrame("fragments of messages are mixed up")
        before = 0 if self._fragments is None else len(self._fragments)
        if before + size > self._max_bytes:
            raise MessageTooBig

    def _fragment(self, opcode: int, payload: bytes, *, final: bool) -> Message | None:
        """Add a fragment to its message; return that when it is whole."""
        if self._fragments is None:
            self._opcode, self._fragments = opcode, bytearray()
        self._fragments += payload
        if not final:
            return None
        whole, self._fragments = bytes(self._fragments), None
        return Message(self._opcode, whole)


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    """Return what was masked (section 5.3): one operation on all bytes at once, as a number."""
    size = len(payload)
    pattern = (mask * (size // _MASK_BYTES + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


def check_close(payload: bytes) -> None:
    """Check what a close frame of the peer says (section 5.5.1): nothing, or a code that may be sent, and text.

    Raises:
        MalformedFrame: It is something else.
    """
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or (code not in _CLOSE_CODES and code not in _OWN_CODES):
        raise MalformedFrame("a close frame with a code that may not be sent")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise MalformedFrame("the reason of a close frame is not UTF-8") from None
