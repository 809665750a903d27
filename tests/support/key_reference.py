"""The form of API keys, read the slow and obvious way (shared by unit tests and fuzzing)."""

from __future__ import annotations

from auth_service.core.errors import KeyFormatError
from auth_service.core.key_format import parse

DIGITS = "0123456789"
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SMALL = CAPITALS.lower()
LETTERS = DIGITS + CAPITALS + SMALL


def slow_crc32(data: bytes) -> int:
    """CRC-32 (ISO 3309), bit by bit, as the polynomial has it."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def slow_number(digits: str) -> int:
    return sum(LETTERS.index(digit) * 62**place for place, digit in enumerate(reversed(digits)))


def slow_parse(text: str) -> tuple[str, str, str] | None:
    """Return environment, id and secret of a key; None if the text is none (design.md, "Keys")."""
    parts = text.split("_")
    if len(parts) != 4 or parts[0] != "tw" or parts[1] not in ("live", "test"):
        return None
    key_id, tail = parts[2], parts[3]
    if len(key_id) != 16 or len(tail) != 32 + 6 or any(letter not in LETTERS for letter in key_id + tail):
        return None
    if slow_number(tail[32:]) != slow_crc32(text[:-6].encode()):
        return None
    return parts[1], key_id, tail[:32]


def assert_agrees(text: str) -> None:
    expected = slow_parse(text)
    try:
        key = parse(text)
    except KeyFormatError:
        assert expected is None, text
    else:
        assert (key.environment, key.key_id, key.secret) == expected
