"""The header of the PROXY protocol (`ws_edge/core/proxy_header.py`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager

from tests.fuzz.references.proxy_header import SIGNATURE, Header, read_header
from tests.fuzz.target import Check, Target
from ws_edge.core.proxy_header import MAX_BODY_BYTES, ProxyHeaderError, missing_bytes, source_address

# What comes behind the header: long enough for whatever length one claims.
BEHIND = b"GET / HTTP/1.1\r\n\r\n" + b"\x00" * (MAX_BODY_BYTES + 128)


def check(data: bytes) -> None:
    """Read a header from a stream, and compare with the slow way."""
    stream = data + BEHIND
    assert _read(stream) == read_header(stream, MAX_BODY_BYTES), stream[:120]


def _read(stream: bytes) -> Header | None:
    """Return what the product makes of a stream, reading as its adapter does."""
    header = b""
    try:
        while count := missing_bytes(header):
            assert count > 0
            header += stream[len(header) : len(header) + count]
        return Header(len(header), source_address(header))
    except ProxyHeaderError:
        return None


@contextmanager
def opened() -> Iterator[Check]:
    """Nothing needs to be opened."""
    yield check


def seeds() -> dict[str, bytes]:
    """Return a header of each form."""
    v4 = ipaddress.ip_address("192.0.2.1").packed + ipaddress.ip_address("192.0.2.200").packed + b"\x10\x00\x1f\x40"
    v6 = ipaddress.ip_address("2001:db8::1").packed * 2 + b"\x10\x00\x1f\x40"
    return {
        "line-tcp4": b"PROXY TCP4 192.0.2.1 192.0.2.200 4096 8000\r\n",
        "line-tcp6": b"PROXY TCP6 2001:db8::1 2001:db8::200 4096 8000\r\n",
        "line-unknown": b"PROXY UNKNOWN\r\n",
        "line-unknown-with-more": b"PROXY UNKNOWN ffff:ffff::1 ffff:ffff::2 65535 65535\r\n",
        "binary-tcp4": SIGNATURE + b"\x21\x11\x00\x0c" + v4,
        "binary-tcp4-with-extension": SIGNATURE + b"\x21\x11\x00\x11" + v4 + b"\x04\x00\x02ab",
        "binary-tcp6": SIGNATURE + b"\x21\x21\x00\x24" + v6,
        "binary-local": SIGNATURE + b"\x20\x00\x00\x00",
        "binary-unix": SIGNATURE + b"\x21\x31\x00\xd8" + b"/" * 216,
    }


TARGET = Target(
    oracle="the same address and the same length as a slow reader of the specification, and nothing read behind the header",
    opened=opened,
    seeds=seeds,
    words=(b"PROXY ", b"TCP4", b"TCP6", b"UNKNOWN", b"\r\n", SIGNATURE, b" 65535", b"::ffff:", b"%eth0", b" 00"),
    max_bytes=300,
)
