"""TLS for servers that are not gRPC's: a context of `ssl` whose new connections show the files as they are by then."""

from __future__ import annotations

import ssl

from service_runtime.tls_files import TlsFiles, TlsFilesError, WatchedTls, load_pair


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context for HTTP/1.1 that shows a certificate and demands none.

    The files are looked at on each handshake, and read again when they changed; files that cannot be used change nothing.

    Args:
        files: With a certificate and its key.

    Raises:
        TlsFilesError: They cannot be used now, at the beginning.
    """
    watched = WatchedTls(files)
    present = _context(files)

    def choose(connection: ssl.SSLObject, _name: str | None, _context_before: ssl.SSLContext) -> None:
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
    context.set_alpn_protocols(["http/1.1"])
    load_pair(context, files.cert, files.key)
    return context
