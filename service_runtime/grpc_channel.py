"""gRPC channels to other services: balanced, kept alive, quick to come back; and the credential that calls carry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import grpc

from service_runtime.reloading_channel import ReloadingChannel
from service_runtime.tls_files import TlsContent, TlsFiles

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
KEEPALIVE_MS: Final = 10_000

_BALANCED: Final[dict[str, Any]] = {"loadBalancingConfig": [{"round_robin": {}}]}
_OF_SERVING: Final = {**_BALANCED, "healthCheckConfig": {"serviceName": ""}}
_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 250),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Containers and pods come back at other addresses: a name is asked again as soon as none of those that are known answers.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 5000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


ClientTls = grpc.ChannelCredentials | TlsFiles
"""How a client speaks TLS: with fixed credentials, or with files that are read again when they change."""


def open_channel(
    target: str,
    tls: ClientTls | None = None,
    *,
    only_serving: bool = False,
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
) -> grpc.aio.Channel:
    """Open a channel; it connects when it is first used. Calls go to all servers of the target in turn.

    Args:
        target: A gRPC target, e.g. `127.0.0.1:50051`, `dns:///auth:50051` or `ipv4:10.0.0.1:50051,10.0.0.2:50051`.
        tls: What to trust and to show. Of files, calls that begin after a change use the new ones, and calls under way go
            on. None: plain text.
        only_serving: Begin calls only at servers that say they are serving (`grpc.health.v1`), and fail them as unavailable
            where none does; calls under way go on. For calls that stay long at one server. A short one does better
            without: it is answered by the server itself, which knows if anything was done, and repeated at the next one.
        interceptors: Run for each call, in order.

    Raises:
        TlsFilesError: The files cannot be used.
    """
    options = (*_OPTIONS, ("grpc.service_config", json.dumps(_OF_SERVING if only_serving else _BALANCED)))
    if tls is None:
        return grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)

    def secure(credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(target, credentials, options=options, interceptors=interceptors)

    if isinstance(tls, TlsFiles):
        return ReloadingChannel(tls, lambda content: secure(_shown(content)))
    return secure(tls)


def _shown(content: TlsContent) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=content.ca, private_key=content.key, certificate_chain=content.cert
    )


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata that carries a credential (RFC 6750 section 2.1); none for an empty one."""
    return (("authorization", f"Bearer {token}"),) if token else ()


def bearer_token(metadata: Iterable[tuple[str, Any]] | None) -> str | None:
    """Return the credential that a call carries; None if it carries none."""
    for key, value in metadata or ():
        if key.lower() == "authorization":
            text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
            scheme, _, token = text.partition(" ")
            return token.strip() or None if scheme.lower() == "bearer" else None
    return None


def shows_credential(metadata: Iterable[tuple[str, Any]] | None) -> bool:
    """Say if a call carries the metadata of a credential, of whatever form."""
    return any(key.lower() == "authorization" for key, _ in metadata or ())
