"""From which IP address a client came, behind proxies that are trusted to say so.

The invariant: nobody can make up an address. `X-Forwarded-For` counts only as far as trusted proxies wrote it.
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
            if not any(address in network for network in self._trusted):
                return str(address)
        return ""


@functools.lru_cache(_REMEMBERED)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
