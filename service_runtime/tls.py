"""TLS and mutual TLS between the services, from the settings; new connections use the files as they are by then."""

from __future__ import annotations

import grpc

from service_runtime.settings import ServiceSettings
from service_runtime.tls_files import TlsContent, TlsFiles, WatchedTls


def server_credentials(settings: ServiceSettings) -> grpc.ServerCredentials | None:
    """Return what a server shows and demands; None without a certificate: plain text.

    The files are looked at on each handshake, and read again when they changed.

    Raises:
        TlsFilesError: They cannot be used.
    """
    if settings.tls_cert_file is None:
        return None
    watched = WatchedTls(TlsFiles(settings.tls_ca_file, settings.tls_cert_file, settings.tls_key_file))

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        content = watched.renewed()
        return None if content is None else _shown(content)

    return grpc.dynamic_ssl_server_credentials(
        _shown(watched.content),
        renewed,  # type: ignore[arg-type]  # None, for "as before", is missing in its stub
        require_client_authentication=settings.tls_client_auth,
    )


def client_tls(settings: ServiceSettings) -> TlsFiles | None:
    """Return what a client trusts and shows, for `open_channel`; None without certificates to trust: plain text."""
    if settings.tls_ca_file is None:
        return None
    return TlsFiles(settings.tls_ca_file, settings.tls_cert_file, settings.tls_key_file)


def _shown(content: TlsContent) -> grpc.ServerCertificateConfiguration:
    assert content.cert is not None
    assert content.key is not None
    return grpc.ssl_server_certificate_configuration([(content.key, content.cert)], root_certificates=content.ca)
