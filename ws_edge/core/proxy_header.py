"""The header of the PROXY protocol, versions 1 and 2: a proxy that passes bytes on says from where they came.

Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2. Nothing behind the header is ever read: its
length is known before its last byte.
"""

from __future__ import annotations

import ipaddress
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
MAX_LINE_BYTES: Final = 107
# Addresses take 36 bytes; the rest is for extensions, which are skipped.
MAX_BODY_BYTES: Final = 2048
_LINE: Final = b"PROXY "
_END_OF_LINE: Final = b"\r\n"
# `PROXY UNKNOWN` and its end: no header of either version is shorter.
_SHORTEST_BYTES: Final = 15
_FIXED_BYTES: Final = 16
_LINE_FAMILIES: Final = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}
_LINE_WORDS: Final = 6
_PORT_CHARS: Final = 5
_MAX_PORT: Final = 65_535
# Family and transport of version 2: bytes of one address, and of all that is told of it.
_BINARY_FAMILIES: Final = {0x11: (4, 12), 0x21: (16, 36)}
_LOCAL, _PROXY = 0x20, 0x21


class ProxyHeaderError(Exception):
    """What a proxy sent is no header of the PROXY protocol."""


def missing_bytes(header: bytes) -> int:
    """Return how many bytes may be read without reading beyond the header; 0: it is whole.

    Args:
        header: What was read of it.

    Raises:
        ProxyHeaderError: No header begins so, or it is too long.
    """
    if len(header) < _SHORTEST_BYTES:
        return _SHORTEST_BYTES - len(header)
    if header.startswith(_LINE):
        if header.endswith(_END_OF_LINE):
            return 0
        if len(header) >= MAX_LINE_BYTES:
            raise ProxyHeaderError("the line is too long")
        return 1
    if not header.startswith(SIGNATURE):
        raise ProxyHeaderError("it begins with neither signature")
    if len(header) < _FIXED_BYTES:
        return _FIXED_BYTES - len(header)
    body = int.from_bytes(header[14:16], "big")
    if body > MAX_BODY_BYTES:
        raise ProxyHeaderError("it is too long")
    return _FIXED_BYTES + body - len(header)


def source_address(header: bytes) -> str | None:
    """Return the IP address that a whole header names; None: the proxy speaks for itself, or does not know.

    Raises:
        ProxyHeaderError: It does not follow the protocol.
    """
    return _of_line(header) if header.startswith(_LINE) else _of_binary(header)


def _of_line(header: bytes) -> str | None:
    words = header.removesuffix(_END_OF_LINE).decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return None
    if len(words) != _LINE_WORDS or words[1] not in _LINE_FAMILIES:
        raise ProxyHeaderError("the line names no address")
    try:
        source, _ = (_address(word, words[1]) for word in words[2:4])
    except ValueError:
        raise ProxyHeaderError("the line names no address of its family") from None
    if not all(map(_is_port, words[4:])):
        raise ProxyHeaderError("the line names no port")
    return source


def _address(word: str, family: str) -> str:
    """Return an address in its usual form; raises ValueError. A zone (`%eth0`) is none of the header's."""
    if "%" in word:
        raise ValueError("an address with a zone")
    return str(_LINE_FAMILIES[family](word))


def _is_port(word: str) -> bool:
    """Say if it is a port as the specification writes it: without zeros before it."""
    return word.isascii() and word.isdigit() and word == str(int(word[:_PORT_CHARS])) and int(word) <= _MAX_PORT


def _of_binary(header: bytes) -> str | None:
    command, family = header[12], header[13]
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise ProxyHeaderError("version or command is not known")
    if family not in _BINARY_FAMILIES:
        return None
    address_bytes, told_bytes = _BINARY_FAMILIES[family]
    if len(header) < _FIXED_BYTES + told_bytes:
        raise ProxyHeaderError("the addresses are cut short")
    return str(ipaddress.ip_address(header[_FIXED_BYTES : _FIXED_BYTES + address_bytes]))
