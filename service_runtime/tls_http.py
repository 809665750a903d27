"""TLS of an HTTP server, from the same settings as that of gRPC; new connections use the files as they are by then."""

from __future__ import annotations

import ssl
from typing import Any

from service_runtime.settings import ServiceSettings
from service_runtime.tls_files import TlsFiles, TlsFilesError, WatchedTls, load_pair


def server_ssl_context(settings: ServiceSettings) -> ssl.SSLContext | None:
    """Return what a server shows and demands; None without a certificate: plain text.

    The files are looked at on each handshake, and read again when they changed.

    Raises:
        TlsFilesError: They cannot be used.
    """
    if settings.tls_cert_file is None:
        return None
    files = TlsFiles(settings.tls_ca_file, settings.tls_cert_file, settings.tls_key_file)
    return _Renewed(files, demands_certificate=settings.tls_client_auth).first


class _Renewed:
    """The context that a server listens with, which gives each handshake the newest one."""

    def __init__(self, files: TlsFiles, *, demands_certificate: bool) -> None:
        self._files = files
        self._demands_certificate = demands_certificate
        self._watched = WatchedTls(files)
        self.first = self._made()
        self._newest = self.first
        self.first.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        if self._watched.renewed() is not None:
            try:
                self._newest = self._made()
            except TlsFilesError:  # changed once more in this moment; the next handshake sees it
                return
        connection.context = self._newest

    def _made(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        assert self._files.cert is not None
        assert self._files.key is not None
        load_pair(context, self._files.cert, self._files.key)
        if self._demands_certificate:
            authorities = self._watched.content.ca
            assert authorities is not None
            context.verify_mode = ssl.CERT_REQUIRED
            # Each connection is looked at: a session that is taken up again would not be.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
            context.load_verify_locations(cadata=authorities.decode("ascii"))
        return context


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
