"""From which IP address a client came, behind proxies that are trusted to say so.

The invariant: nobody can make up an address. `X-Forwarded-For` counts only as far as trusted proxies wrote it. Behind a proxy
that passes bytes on, the peer of a request is whom its PROXY header named: see `proxy_protocol`.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable
from typing import Final

from aiohttp import web

# Addresses that are read once: behind a proxy, or one client with many connections, the same come again and again.
_REMEMBERED: Final = 4096

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ClientAddresses:
    """Finds the addresses of clients.

    Args:
        trusted_proxies: Networks whose `X-Forwarded-For` is believed, and whose own addresses are those of no client.
    """

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        self._trusted: list[Network] = [ipaddress.ip_network(each) for each in trusted_proxies]

    def of(self, request: web.Request) -> str:
        """Return the address; empty: not known."""
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        for text in (request.remote or "", *reversed(forwarded)):
            address = _address(text.strip())
            if address is None:
                return ""
            if not self._is_proxy(address):
                return str(address)
        return ""

    def trusts(self, peer: str) -> bool:
        """Return whether a peer is a trusted proxy."""
        address = _address(peer)
        return address is not None and self._is_proxy(address)

    def _is_proxy(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


@functools.lru_cache(_REMEMBERED)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
