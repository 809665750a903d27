"""The form of API keys (`auth_service/core/key_format.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from auth_service.core.key_format import KeyText, checksum, parse
from tests.fuzz.target import Check, Target
from tests.support.key_reference import assert_agrees, slow_parse

# How the bytes become a text: as HTTP headers are read, and as gRPC's strings are.
READINGS = (("latin-1", "strict"), ("utf-8", "surrogateescape"))


def check(data: bytes) -> None:
    """Parse what comes behind the first byte; also with the checksum that belongs to it, which no mutation would guess."""
    if not data:
        return
    text = data[1:].decode(*READINGS[data[0] % 2])
    assert_agrees(text)
    if text.isascii():
        whole = text + checksum(text)
        assert_agrees(whole)
        if slow_parse(whole) is not None:
            key = parse(whole)
            assert key.text == whole, "taken apart and put together again"
            assert whole.startswith(key.prefix)
            assert key.secret not in repr(key)


@contextmanager
def opened() -> Iterator[Check]:
    """Nothing needs to be opened."""
    yield check


def seeds() -> dict[str, bytes]:
    """Return keys with and without their checksum."""
    live, test = KeyText("live", "0" * 16, "z" * 32), KeyText("test", "Az09" * 4, "Key7" * 8)
    return {
        "live": b"\x00" + live.text.encode(),
        "live-without-checksum": b"\x00" + live.text[:-6].encode(),
        "test": b"\x01" + test.text.encode(),
        "test-without-checksum": b"\x01" + test.text[:-6].encode(),
        "digits-of-another-script": b"\x01" + live.text.replace("0", "\u0660", 1).encode(),
    }


TARGET = Target(
    oracle="the same verdict as a slow parser that shares nothing with it; a key that is taken apart is put together alike",
    opened=opened,
    seeds=seeds,
    words=(b"tw_", b"_live_", b"_test_", b"0" * 16, b"z" * 32, b"\n", b"\x00", b"\xd9\xa3"),
    max_bytes=160,
)
