"""Who calls over HTTP, and may it. Whether a credential is good is decided in `Callers`, as for gRPC."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp import hdrs, web

from auth_service.adapters.grpc_api.caller import Caller, Callers
from auth_service.core.callers import Group
from auth_service.core.errors import CallerUnknownError
from service_runtime.grpc_channel import bearer_token
from service_runtime.peer_certificate import peer_names

# The credential of a proxy: `Authorization` is the holder's there.
SERVICE_HEADER: Final = "Tidewire-Service-Authorization"


class HttpCallers:
    """Lets callers in: by a credential in a header or, where there is none, by a certificate.

    Args:
        callers: decide on both.
        trusted: networks whose hosts need none to ask for forward authorization.
    """

    def __init__(self, callers: Callers, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._callers = callers
        self._trusted = trusted

    async def admit(self, request: web.Request, group: Group) -> Caller:
        """Return who calls and shows its credential in `Authorization`.

        Args:
            request: the call.
            group: what is called.

        Raises:
            CallerUnknownError: no credential, or one that is not known or no longer good.
            CallerNotAllowedError: a known caller that may not call this.
        """
        return await self._admit(request, hdrs.AUTHORIZATION, group)

    async def admit_proxy(self, request: web.Request, group: Group) -> Caller:
        """Return the proxy that asks about a request of somebody else; raises as `admit`.

        A trusted proxy passes on whatever header a client sent, so at its address the credential is not looked at.
        """
        peer = _peer(request)
        if peer is not None and any(peer in network for network in self._trusted):
            return Caller(f"peer:{peer}")
        return await self._admit(request, SERVICE_HEADER, group)

    async def _admit(self, request: web.Request, header: str, group: Group) -> Caller:
        value = request.headers.get(header)
        if value is None:
            return self._callers.admit_certificate(peer_names(request.get_extra_info("peercert")), group)
        token = bearer_token([("authorization", value)])
        if token is None or not token.isascii():
            raise CallerUnknownError(f"the credential of the call is not of the form {header}: Bearer <token>")
        return await self._callers.admit_token(token, group)


def _peer(request: web.Request) -> IPv4Address | IPv6Address | None:
    """Return the address at the other end of the connection; whatever headers say of it does not matter."""
    try:
        address = ip_address(request.remote or "")
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
