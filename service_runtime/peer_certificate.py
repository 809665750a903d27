"""The names in the client certificate of a call, which gRPC has verified by then (mutual TLS)."""

from __future__ import annotations

from typing import Any, Final

import grpc

_PROPERTIES: Final = ("peer_uri", "peer_dns", "x509_common_name")


def certificate_names(context: grpc.aio.ServicerContext[Any, Any]) -> tuple[str, ...]:
    """Return the URIs, DNS names and the common name of the caller's certificate, in this order; none without one.

    Only a server that demands certificates of its callers (`tls_client_auth`) sees any.
    """
    properties = context.auth_context()
    return tuple(value.decode(errors="replace") for name in _PROPERTIES for value in properties.get(name, ()) if value)
