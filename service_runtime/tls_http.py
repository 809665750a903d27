"""TLS of an HTTP server, from the same settings as that of gRPC."""

from __future__ import annotations

import ssl

from service_runtime.settings import ServiceSettings, SettingsError


def server_ssl_context(settings: ServiceSettings) -> ssl.SSLContext | None:
    """Return what a server shows and demands; None without a certificate: plain text.

    Raises:
        SettingsError: a file cannot be read, or key and certificate do not fit.
    """
    if settings.tls_cert_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
        if settings.tls_client_auth:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(settings.tls_ca_file)
    except OSError as error:
        raise SettingsError(f"the TLS files cannot be used: {error}") from None
    return context
