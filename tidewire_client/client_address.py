"""IP addresses of clients, as frameworks name them."""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote


def ip_address(text: str) -> str:
    """Return an IP address, without its zone; empty for what is none, e.g. the name of a socket file."""
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return ""


def address_of_peer(peer: str) -> str:
    """Return the IP address of a gRPC peer, e.g. of `ipv4:192.0.2.1:50000` or `ipv6:%5B2001:db8::1%5D:50000`."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return ""
    return ip_address(unquote(rest).rpartition(":")[0].strip("[]"))
