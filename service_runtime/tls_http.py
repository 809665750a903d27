"""TLS of HTTP servers: contexts whose new connections show and demand what the files hold by then."""

from __future__ import annotations

import ssl

from service_runtime.settings import ServiceSettings
from service_runtime.tls_files import TlsFiles, TlsFilesError, WatchedTls, load_authorities, load_pair


def server_ssl_context(settings: ServiceSettings) -> ssl.SSLContext | None:
    """Return what a server between the services shows and demands; None without a certificate: plain text.

    Raises:
        TlsFilesError: The files cannot be used.
    """
    if settings.tls_cert_file is None:
        return None
    authorities = settings.tls_ca_file if settings.tls_client_auth else None
    return reloading_context(TlsFiles(authorities, settings.tls_cert_file, settings.tls_key_file))


def reloading_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context for HTTP/1.1. The files are looked at on each handshake, and those that are broken change nothing.

    Args:
        files: The certificate and its key; with `ca`, clients must show a certificate that is signed by one of these.

    Raises:
        TlsFilesError: They cannot be used now, at the beginning.
    """
    watched = WatchedTls(files)
    present = _context(files)

    def choose(connection: ssl.SSLObject, _name: str | None, _entrance: ssl.SSLContext) -> None:
        nonlocal present
        if watched.renewed() is not None:
            try:
                present = _context(files)
            except TlsFilesError:  # they changed once more just now: the next handshake looks again
                pass
        connection.context = present

    entrance = _context(files)
    entrance.sni_callback = choose  # OpenSSL calls it for each handshake, also without a name
    return entrance


def _context(files: TlsFiles) -> ssl.SSLContext:
    assert files.cert is not None
    assert files.key is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_pair(context, files.cert, files.key)
    if files.ca is not None:
        load_authorities(context, files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        # A session that is resumed is not verified again: it could outlive the authority that it was let in by.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    return context
