"""Headers of the PROXY protocol: what they name, and that nothing behind them is read."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_edge.core.proxy_header import (
    MAX_BODY_BYTES,
    MAX_LINE_BYTES,
    SIGNATURE,
    ProxyHeaderError,
    missing_bytes,
    source_address,
)


def binary(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


def v4(source: str, extensions: bytes = b"") -> bytes:
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address("192.0.2.200").packed
    return binary(0x21, 0x11, addresses + b"\x10\x00\x1f\x40" + extensions)


def v6(source: str) -> bytes:
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address("2001:db8::200").packed
    return binary(0x21, 0x21, addresses + b"\x10\x00\x1f\x40")


NAMED = [
    (b"PROXY TCP4 192.0.2.1 192.0.2.200 4096 8000\r\n", "192.0.2.1"),
    (b"PROXY TCP6 2001:db8::1 2001:db8::200 4096 8000\r\n", "2001:db8::1"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff:ffff::1 ffff:ffff::2 65535 65535\r\n", None),
    (v4("192.0.2.1"), "192.0.2.1"),
    (v4("192.0.2.1", b"\x04\x00\x02ab"), "192.0.2.1"),
    (v6("2001:db8::1"), "2001:db8::1"),
    (binary(0x20, 0x00, b""), None),
    (binary(0x21, 0x31, b"/" * 216), None),
]


def read(stream: bytes) -> bytes:
    """Read a header as its reader does."""
    header = b""
    while count := missing_bytes(header):
        assert len(stream) >= len(header) + count, "asks for more than there is"
        header = stream[: len(header) + count]
    return header


@pytest.mark.parametrize(("header", "address"), NAMED)
def test_an_address_is_read_and_nothing_behind_the_header(header: bytes, address: str | None) -> None:
    assert read(header + b"GET / HTTP/1.1\r\n\r\n") == header
    assert source_address(header) == address


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY TCP4 " + b"1" * MAX_LINE_BYTES,
        binary(0x21, 0x11, b"x" * (MAX_BODY_BYTES + 1)),
    ],
)
def test_what_is_no_header_is_found_out_while_it_is_read(stream: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        read(stream)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.1\r\n",
        b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 client 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 2001:db8::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 server 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n",
        binary(0x11, 0x11, b"x" * 12),
        binary(0x22, 0x11, b"x" * 12),
        binary(0x21, 0x11, b"x" * 11),
    ],
)
def test_what_does_not_follow_the_protocol_is_refused(header: bytes) -> None:
    assert read(header) == header
    with pytest.raises(ProxyHeaderError):
        source_address(header)


@given(st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]))
def test_random_bytes_raise_nothing_else(tail: bytes, start: bytes) -> None:
    stream = start + tail + b"\x00" * (MAX_BODY_BYTES + 256)
    with suppress(ProxyHeaderError):
        source_address(read(stream))
