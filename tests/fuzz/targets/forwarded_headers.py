"""Headers that anybody can send: whose key, from which address, for what, in which trace.

`auth_service/core/external_authorization.py`, `ws_edge/adapters/client_address.py`, `service_runtime/tracing/traceparent.py`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, unquote

from auth_service.core.errors import InvalidFieldError
from auth_service.core.external_authorization import (
    client_address,
    header_value,
    limited_status,
    once_each,
    presented_key,
    shown,
    use_asked,
)
from auth_service.core.throttle import source_of
from service_runtime.tracing.traceparent import read_traceparent
from tests.fuzz.target import Check, Target
from ws_edge.adapters.client_address import ClientAddresses

ADDRESSES = ClientAddresses(["192.0.2.0/24", "2001:db8::/32"])
KINDS = 6


class Request:
    """A request as `ClientAddresses` looks at one: who is at the other end, and one header."""

    def __init__(self, remote: str, forwarded: list[str]) -> None:
        self.remote = remote
        self.headers = self
        self._forwarded = forwarded

    def getall(self, name: str, default: list[str]) -> list[str]:
        assert name == "X-Forwarded-For"
        return self._forwarded or default


def check(data: bytes) -> None:
    """Read the rest of the input as the kind of header that its first byte says."""
    if data:
        text = data[1:].decode("utf-8", "surrogateescape")
        (_key, _address, _chain, _query, _value, _trace)[data[0] % KINDS](text)


def _key(text: str) -> None:
    authorization, _, api_key = text.partition("\n")
    found = presented_key(authorization, api_key)
    assert found is None or (found == found.strip() and found)
    bearer = re.fullmatch(r"bearer (.*)", authorization.strip(), re.IGNORECASE | re.DOTALL | re.ASCII)
    token = bearer[1].strip() if bearer else ""
    assert found == (token or api_key.strip() or None)


def _address(text: str) -> None:
    found = client_address(text)
    last = text.split(",")[-1].strip()
    written = re.fullmatch(r"\[([^\]]*).*|([^:]*):[^:]*|(.*)", last, re.DOTALL)
    assert written is not None
    assert found == _plain_address(next(part for part in written.groups() if part is not None), mapped=False)
    source_of(found, "tw_live_")  # which refuses what is no address


def _chain(text: str) -> None:
    remote, *forwarded = text.split("\n")
    found = ADDRESSES.of(Request(remote, forwarded))  # type: ignore[arg-type]
    assert found == "" or not ADDRESSES.trusts(found), "a trusted proxy is no client"
    if not ADDRESSES.trusts(remote.strip()):
        peer = _plain_address(remote.strip())
        assert found == peer, "who is no proxy says nothing of others"


def _plain_address(text: str, *, mapped: bool = True) -> str:
    """Return an address without its zone, which means nothing elsewhere; empty: it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str((mapped and getattr(address, "ipv4_mapped", None)) or address)


def _query(text: str) -> None:
    try:
        fields = once_each(parse_qsl(text, keep_blank_values=True))
        status = limited_status(fields.pop("limited", ""))
        use = use_asked(fields)
    except InvalidFieldError as refused:
        assert refused.field.isprintable()
        assert refused.field.isascii()
        return
    assert status in (403, 429)
    assert set(fields) <= {"action", "channel", "domain", "workspace"}
    assert (use.action, use.channel, use.domain, use.workspace) == tuple(
        fields.get(name, "") for name in ("action", "channel", "domain", "workspace")
    )
    assert not use.channel or use.action, "a channel without an action would not be checked"


def _value(text: str) -> None:
    assert shown(text).isascii()
    assert shown(text).isprintable()
    try:
        text.encode()
    except UnicodeEncodeError:  # no field of a key can be half a character
        return
    value = header_value(text)
    assert re.fullmatch(r"[!-~]*", value), "anything else could end the header"
    assert unquote(value, errors="strict") == text


def _trace(text: str) -> None:
    found = read_traceparent(text)
    if found is not None:
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", str(found))
        assert found.trace_id in text
        assert found.span_id in text
        assert read_traceparent(str(found)) == found


@contextmanager
def opened() -> Iterator[Check]:
    """Nothing needs to be opened."""
    yield check


def seeds() -> dict[str, bytes]:
    """Return headers of each kind."""
    return {
        "bearer": b"\x00Bearer tw_live_abc\n",
        "api-key": b"\x00Basic dXNlcg==\ntw_live_abc",
        "address": b"\x01203.0.113.7, 198.51.100.2",
        "address-with-port": b"\x01203.0.113.7:4711",
        "address-v6-with-port": b"\x01[2001:db8::7]:4711",
        "address-with-zone": b"\x01fe80::7%eth0",
        "chain": b"\x02192.0.2.1\n203.0.113.7, 192.0.2.7",
        "chain-v6": b"\x022001:db8::1\n::ffff:203.0.113.7",
        "query": b"\x03action=join&channel=chat-1&domain=d&workspace=w&limited=403",
        "query-twice": b"\x03action=join&action=publish",
        "value": "\x04team Zoë %".encode(),
        "trace": b"\x0500-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }


TARGET = Target(
    oracle="addresses are addresses, only proxies are believed, keys and uses are what the header says, no value ends a header",
    opened=opened,
    seeds=seeds,
    words=(
        b"Bearer ",
        b"%eth0",
        b"::ffff:",
        b"192.0.2.1",
        b"2001:db8::",
        b"action=",
        b"channel=",
        b"limited=",
        b"%00",
        b"\n",
    ),
    max_bytes=400,
)
