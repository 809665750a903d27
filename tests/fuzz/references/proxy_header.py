"""A PROXY header, read the slow way from all bytes at once, as section 2 of the specification tells it.

Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. Of it this edge takes what the module
`ws_edge.core.proxy_header` says: addresses of TCP over IPv4 and IPv6; of other families it learns nothing.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

SIGNATURE = bytes([0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A])


class Header(NamedTuple):
    """How long it is, and whom it names; None: nobody."""

    size: int
    address: str | None


def read_header(stream: bytes, max_body: int) -> Header | None:
    """Return the header that a stream begins with; None: it begins with none.

    Args:
        stream: Long enough for any header.
        max_body: The longest body of version 2 that is taken.
    """
    if stream.startswith(b"PROXY "):
        return _line(stream)
    return _binary(stream, max_body) if stream.startswith(SIGNATURE) else None


def _line(stream: bytes) -> Header | None:
    end = stream[:107].find(b"\r\n")
    # Nothing ends before `PROXY UNKNOWN` does: an earlier end is part of a line that is none.
    if end < len(b"PROXY UNKNOWN"):
        return None
    words = stream[:end].split(b" ")
    if words[1] == b"UNKNOWN":
        return Header(end + 2, None)
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        return None
    source, target = (_address(word, words[1]) for word in words[2:4])
    if source is None or target is None or not all(map(_is_port, words[4:])):
        return None
    return Header(end + 2, source)


def _address(word: bytes, family: bytes) -> str | None:
    letters = b"0123456789." if family == b"TCP4" else b"0123456789abcdefABCDEF:."
    if any(letter not in letters for letter in word):
        return None
    kind = ipaddress.IPv4Address if family == b"TCP4" else ipaddress.IPv6Address
    try:
        return str(kind(word.decode()))
    except ValueError:
        return None


def _is_port(word: bytes) -> bool:
    """`0` to `65535`, without zeros before it."""
    return any(word == str(port).encode() for port in range(65_536)) if len(word) <= 5 and word.isdigit() else False


def _binary(stream: bytes, max_body: int) -> Header | None:
    version_command, family = stream[12], stream[13]
    size = stream[14] * 256 + stream[15]
    if size > max_body:
        return None
    if version_command == 0x20:
        return Header(16 + size, None)
    if version_command != 0x21:
        return None
    body = stream[16 : 16 + size]
    if family == 0x11:
        return None if size < 12 else Header(16 + size, ".".join(str(byte) for byte in body[:4]))
    if family == 0x21:
        return None if size < 36 else Header(16 + size, str(ipaddress.IPv6Address(int(body[:16].hex(), 16))))
    return Header(16 + size, None)
