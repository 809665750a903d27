"""TLS and mutual TLS between the services, from the settings."""

from __future__ import annotations

from pathlib import Path

import grpc

from service_runtime.settings import ServiceSettings


def server_credentials(settings: ServiceSettings) -> grpc.ServerCredentials | None:
    """Return what a server shows and demands; None without a certificate: plain text."""
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    pair = (settings.tls_key_file.read_bytes(), settings.tls_cert_file.read_bytes())
    return grpc.ssl_server_credentials(
        [pair], root_certificates=_read(settings.tls_ca_file), require_client_auth=settings.tls_client_auth
    )


def channel_credentials(settings: ServiceSettings) -> grpc.ChannelCredentials | None:
    """Return what a client trusts and shows; None without certificates to trust: plain text."""
    if settings.tls_ca_file is None:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=_read(settings.tls_ca_file),
        private_key=_read(settings.tls_key_file),
        certificate_chain=_read(settings.tls_cert_file),
    )


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
