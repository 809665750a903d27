"""The names in the client certificate of a caller, which was verified by then (mutual TLS)."""

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


def peer_names(certificate: dict[str, Any] | None) -> tuple[str, ...]:
    """Return the URIs, DNS names and the common name of a verified certificate, in this order; none without one.

    Args:
        certificate: As `ssl.SSLSocket.getpeercert` returns it.
    """
    if not certificate:
        return ()
    others = certificate.get("subjectAltName", ())
    found = [value for kind in ("URI", "DNS") for name, value in others if name == kind]
    common = [value for part in certificate.get("subject", ()) for name, value in part if name == "commonName"]
    return (*found, *common)
