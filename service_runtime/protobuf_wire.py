"""Parts of protobuf messages as bytes, so that a large message is put together from encoded ones without building it.

To put a message into another one, the library encodes it, decodes it, and encodes it again with the other. What is sent for
each message of a client is encoded once, and framed here. (Protocol Buffers Encoding, "Length-Delimited Records")
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

_LENGTH_DELIMITED: Final = 2
_ONE_BYTE: Final = tuple(bytes([value]) for value in range(0x80))


def varint(value: int) -> bytes:
    """Return a number that is not negative as the bytes of a varint."""
    if value < 0x80:
        return _ONE_BYTE[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def tag(message: type[Message], field: str) -> bytes:
    """Return what stands before a field: its number and how its value is written.

    Args:
        message: The message that has the field.
        field: Its name. Numbers are written as varints (not for signed, fixed and floating ones), all else with a length.

    Raises:
        KeyError: the message has no such field.
    """
    descriptor = message.DESCRIPTOR.fields_by_name[field]
    numeric = descriptor.type in {descriptor.TYPE_UINT32, descriptor.TYPE_UINT64, descriptor.TYPE_BOOL}
    return varint(descriptor.number << 3 | (0 if numeric else _LENGTH_DELIMITED))


def record(field_tag: bytes, body: bytes) -> bytes:
    """Return a field whose value has a length: a message, a text, or bytes."""
    return field_tag + varint(len(body)) + body
