"""Decoding of what clients send: the envelope with its payload left raw, and the `data` of each known frame.

The whole text is checked once (UTF-8 and JSON syntax, at any depth, within the decoder's recursion limit); the `data` of
a message is then passed on as the very bytes that the sender sent. Integers are also taken as decimal strings, because
that is how protobuf's JSON mapping prints 64-bit numbers.
"""

from __future__ import annotations

from typing import Annotated, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from ws_edge.core.close_codes import CloseCode
from ws_edge.core.errors import ErrorType, FrameError

MAX_OFFSET: Final = 2**63 - 1
MAX_RESUMED_CHANNELS: Final = 1000

ConnectionType = Literal["chat", "tasks", "agents", "graph"]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
Offset = Annotated[int, Meta(ge=0, le=MAX_OFFSET)]
Epoch = Annotated[str, Meta(min_length=1, max_length=64)]

NO_DATA: Final = Raw(b"")
EMPTY_OBJECT: Final = Raw(b"{}")


class Envelope(Struct, frozen=True):
    """The fields that every frame shares; `timestamp` and `client_id` of a client are ignored."""

    type: str
    data: Raw = NO_DATA
    id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    channel: str | None = None


class Position(Struct, frozen=True):
    """A place in a channel, as clients name it."""

    epoch: Epoch
    offset: Offset


class ResumeEntry(Struct, frozen=True):
    """One channel that a returning client goes on with."""

    channel: str
    epoch: Epoch
    offset: Offset


class ConnectData(Struct, frozen=True):
    """`data` of `connect`."""

    api_key: str
    connection_type: ConnectionType
    domain: Name
    workspace: Name
    resume: Annotated[list[ResumeEntry], Meta(max_length=MAX_RESUMED_CHANNELS)] = []

    def __repr__(self) -> str:
        """Show all but the key, wherever this may be printed."""
        return f"ConnectData(domain={self.domain!r}, workspace={self.workspace!r})"


class JoinData(Struct, frozen=True):
    """`data` of `join_channel`."""

    channel: str
    recover: Position | Literal["last_acked"] | None = None
    history: Annotated[int, Meta(ge=1, le=1000)] | None = None
    presence: bool = False


class ChannelData(Struct, frozen=True):
    """`data` of `leave_channel` and `presence`."""

    channel: str


class AckData(Struct, frozen=True):
    """`data` of `ack`."""

    channel: str
    epoch: Epoch
    offset: Offset


class Since(Struct, frozen=True):
    """Where a history begins; without an epoch, of whatever life of the channel."""

    offset: Offset
    epoch: Epoch | None = None


class HistoryData(Struct, frozen=True):
    """`data` of `history`."""

    channel: str
    since: Since | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class ReceiptData(Struct, frozen=True):
    """`data` of `receipt`."""

    channel: str
    offset: Annotated[int, Meta(ge=1, le=MAX_OFFSET)]


class DirectData(Struct, frozen=True):
    """What the edge reads of a `direct_message`'s `data`; the rest is the sender's own."""

    to: str


class MessageData(Struct, frozen=True):
    """What the edge reads of a message's `data`; the rest is the sender's own."""

    content: Raw | msgspec.UnsetType = msgspec.UNSET
    thread_id: str | None = None


MESSAGE_TYPES: Final = frozenset({"chat_message", "channel_message", "task_update", "agent_status", "graph_update"})
CONTENT_REQUIRED: Final = frozenset({"chat_message", "channel_message"})

_envelope: Final = msgspec.json.Decoder(Envelope)
_fields: Final = msgspec.json.Decoder(dict[str, Raw])
_text: Final = msgspec.json.Decoder(str)

D = TypeVar("D", bound=Struct)


class DataDecoder(Generic[D]):
    """Decodes the `data` of one frame type; one instance per type, made once."""

    def __init__(self, data_type: type[D]) -> None:
        self._decode = msgspec.json.Decoder(data_type, strict=False).decode

    def decode(self, envelope: Envelope) -> D:
        """Return the decoded `data`.

        Raises:
            FrameError: `invalid_format`, naming the field; the connection stays open.
        """
        require_object(envelope)
        try:
            return self._decode(envelope.data)
        except msgspec.DecodeError as exc:
            raise FrameError(ErrorType.INVALID_FORMAT, f"{envelope.type}: {_where(exc, 'data')}") from None


def require_object(envelope: Envelope) -> None:
    """Raise `invalid_format` unless the frame's `data` is there and an object."""
    if envelope.data is NO_DATA:
        raise FrameError(ErrorType.INVALID_FORMAT, f"{envelope.type}: `data` is required")
    if not is_object(envelope.data):
        raise FrameError(ErrorType.INVALID_FORMAT, f"{envelope.type}: `data` must be an object")


def is_object(raw: Raw) -> bool:
    """Say if raw JSON, already known to be valid, is an object."""
    return bytes(memoryview(raw)[:1]) == b"{"


def decode_envelope(text: bytes) -> Envelope:
    """Decode one text message.

    Args:
        text: The message as it came, UTF-8 not yet checked.

    Raises:
        FrameError: `invalid_format`; with close code 4002 unless just a field of the envelope is wrong.
    """
    try:
        text.decode()
        return _envelope.decode(text)
    except msgspec.ValidationError:
        raise _explain(text) from None
    except UnicodeDecodeError:
        raise _unusable("the message is not UTF-8") from None
    except (RecursionError, msgspec.DecodeError) as exc:
        raise _no_json(exc) from None


def frame_id_of(text: bytes) -> str | None:
    """Return the `id` of a frame that was refused for another field, so that the error can carry it."""
    try:
        frame_id = _text.decode(_fields.decode(text)["id"])
    except (msgspec.DecodeError, KeyError, UnicodeDecodeError, RecursionError):
        return None
    return frame_id if 1 <= len(frame_id) <= 64 else None


def _explain(text: bytes) -> FrameError:
    """Say what is wrong with what is no envelope: behind the first wrong field, it may not even be JSON."""
    try:
        fields = _fields.decode(text)
    except msgspec.ValidationError:
        return _unusable("the message is not a JSON object")
    except (RecursionError, msgspec.DecodeError) as exc:
        return _no_json(exc)
    if "type" not in fields:
        return _unusable("`type` is missing")
    try:
        _text.decode(fields["type"])
    except msgspec.DecodeError:
        return _unusable("`type` must be a string")
    try:
        _envelope.decode(text)
    except msgspec.ValidationError as exc:
        return FrameError(ErrorType.INVALID_FORMAT, _where(exc, ""))
    raise AssertionError("only called for an invalid envelope")  # pragma: no cover


def _no_json(exc: RecursionError | msgspec.DecodeError) -> FrameError:
    deep = isinstance(exc, RecursionError)
    return _unusable("the message is nested too deeply" if deep else f"the message is not JSON: {exc}")


def _unusable(why: str) -> FrameError:
    return FrameError(ErrorType.INVALID_FORMAT, f"Invalid frame: {why}", close=CloseCode.INVALID_FORMAT)


def _where(exc: Exception, root: str) -> str:
    """Turn `Expected `int`, got `str` - at `$.offset`` into words with the field's path first."""
    what, _, path = str(exc).partition(" - at ")
    place = path.strip("`").replace("$", root, 1).lstrip(".") or root or "frame"
    return f"`{place}`: {what[:1].lower()}{what[1:]}"
