"""Bodies of messages in Redis, and names of channels there (`session_service/adapters/redis_access/commands.py`).

The protocol of Redis itself is read by redis-py and hiredis; ours is what stands in its values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from session_service.adapters.redis_access.commands import Names, decode, decode_published, encode
from session_service.core.model import NewMessage, StoredMessage
from tests.fuzz.target import Check, Target

NAMES = Names("fuzz")


def check(data: bytes) -> None:
    """Store lines of an input as a message's fields, and read it as the engine does."""
    fields, _, payload = data.partition(b"\x00")
    topic, kind, message_id, client_id, epoch, *_ = [*_texts(fields), "", "", "", "", ""]
    message = NewMessage(topic, kind, message_id, client_id, payload)
    body = encode(message)
    expected = StoredMessage(topic, kind, message_id, client_id, epoch, 7, 1_800_000_000_000, payload)
    assert decode(topic, epoch, 7, 1_800_000_000_000, body) == expected
    assert NAMES.topic_of(NAMES.channel(topic).encode()) == topic
    if epoch and not set(epoch) & set(" \n\t\r\v\f"):  # ours are base64
        published = f"{epoch} 7 1800000000000\n".encode() + body
        assert decode_published(topic, published) == expected


def _texts(fields: bytes) -> list[str]:
    return [line.decode("utf-8", "replace") for line in fields.split(b"\n")]


@contextmanager
def opened() -> Iterator[Check]:
    """Nothing needs to be opened."""
    yield check


def seeds() -> dict[str, bytes]:
    """Return messages."""
    return {
        "message": b'tests/w1/chat\nchat_message\nm-1\nalice\nb7Qk2xV9\x00{"content":"hello"}',
        "letters-of-several-bytes": "d/w/c\nchat_message\nüß-👋\nzoë\nepoch\x00{}".encode(),
        "data-that-looks-like-a-head": b"d/w/@bob\ndirect_message\n1\nbob\ne\x0012 3 4\n5 6",
    }


TARGET = Target(
    oracle="what is written is read again, byte for byte, whatever the fields hold",
    opened=opened,
    seeds=seeds,
    words=(b"\n", b"\x00", b" ", "ü".encode(), "👋".encode()),
    max_bytes=600,
)
