"""The messages of the load: whose, which, and when they were due, in a text of fixed width that is cheap to read."""

from __future__ import annotations

from typing import Final, NamedTuple

_MARK: Final = b"@tw-"
_STREAM, _NUMBER, _DUE = 7, 10, 16
RUN_LENGTH: Final = 8
SHORTEST_BYTES: Final = len(_MARK) + RUN_LENGTH + _STREAM + _NUMBER + _DUE
MAX_STREAMS: Final = 10**_STREAM


class Message(NamedTuple):
    """What a message says of itself.

    Attributes:
        stream: Its sender's.
        number: In the stream, from 0.
        due_us: When it was due, in microseconds of the monotonic clock of the machine.
    """

    stream: int
    number: int
    due_us: int


class Writer:
    """Writes the messages of one stream as frames.

    Args:
        run: Of the load; so many letters as `RUN_LENGTH`.
        stream: Its number.
        channel: Where they go.
        size: Characters of each message's content.

    Raises:
        ValueError: The size is too small for what a message says.
    """

    __slots__ = ("_body", "_head", "_tail")

    def __init__(self, run: str, stream: int, channel: str, size: int) -> None:
        if size < SHORTEST_BYTES:
            raise ValueError(f"a message has at least {SHORTEST_BYTES} characters, not {size}")
        self._head = f'{{"type":"chat_message","id":"{run}-{stream}-'.encode()
        body = f'","channel":"{channel}","data":{{"content":"'.encode()
        self._body = body + _MARK + run.encode() + b"%07d" % stream
        self._tail = b"." * (size - SHORTEST_BYTES) + b'"}}'

    def frame(self, number: int, due_us: int) -> bytes:
        """Return the JSON text of a message frame."""
        return self._head + b"%d%b%010d%016d%b" % (number, self._body, number, due_us, self._tail)


def mark_of(run: str) -> bytes:
    """Return what each message of a run has in it, and no other."""
    return _MARK + run.encode()


def read_message(data: bytes | memoryview, mark: bytes) -> Message | None:
    """Return what a message says of itself; None: it is none of this run.

    Args:
        data: The `data` of the frame, as JSON.
        mark: Of the run.
    """
    text = bytes(data)
    at = text.find(mark)
    if at < 0:
        return None
    at += len(mark)
    fields = text[at : at + _STREAM + _NUMBER + _DUE]
    if len(fields) < _STREAM + _NUMBER + _DUE or not fields.isdigit():
        return None
    number_at = _STREAM + _NUMBER
    return Message(int(fields[:_STREAM]), int(fields[_STREAM:number_at]), int(fields[number_at:]))


def number_in_id(message_id: str, run: str) -> int | None:
    """Return the number of the message that a confirmation or an error names; None: it is none of this run."""
    name, _, rest = message_id.partition("-")
    _, _, number = rest.partition("-")
    return int(number) if name == run and number.isdecimal() else None
