"""The files of TLS: read, proved to fit together, and read again when they change.

What is in use stays in use until something better is there: files that are half written, or that do not fit together,
are refused, logged once and counted, and read again only after they change again.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from prometheus_client import Counter

from service_runtime.logs import get_logger
from service_runtime.settings import SettingsError

RELOADS: Final = Counter(
    "tidewire_tls_reloads",
    "Changes of TLS files that were taken into use, or refused because they are broken",
    ["result"],
)
_TAKEN: Final = RELOADS.labels("taken")
_REFUSED: Final = RELOADS.labels("refused")

log = get_logger("service_runtime.tls")

Stamp = tuple[tuple[int, int, int, int] | None, ...]


class TlsFilesError(SettingsError):
    """Files of TLS cannot be used; the text names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class TlsContent:
    """What the files hold, as it is given to gRPC."""

    ca: bytes | None
    cert: bytes | None
    key: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a process has what it shows, and whom it trusts; all in PEM.

    Args:
        ca: Certificates that peers must be signed by; None: the public authorities that gRPC brings along.
        cert: The certificate chain to show; None: none.
        key: The private key of that certificate, not encrypted.

    Raises:
        TlsFilesError: A certificate without its key, or a key without its certificate.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise TlsFilesError("a certificate and its private key go together: only one of them is named")

    def stamp(self) -> Stamp:
        """Return what changes when a file does; a file that cannot be looked at is None."""
        return tuple(_stamp(path) for path in (self.ca, self.cert, self.key))

    def read(self) -> TlsContent:
        """Return what the files hold.

        Raises:
            TlsFilesError: One cannot be read or is not PEM, or the certificate is not of the key, or they change just now.
        """
        before = self.stamp()
        content = TlsContent(_read(self.ca), _read(self.cert), _read(self.key))
        # A peer's certificate is checked by gRPC; this context only proves that the files can be used.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca is not None:
            load_authorities(context, self.ca)
        if self.cert is not None and self.key is not None:
            load_pair(context, self.cert, self.key)
        if self.stamp() != before:
            raise TlsFilesError(f"{self} changed while they were read")
        return content

    def __str__(self) -> str:
        return ", ".join(str(path) for path in (self.ca, self.cert, self.key) if path is not None)


def load_authorities(context: ssl.SSLContext, path: Path) -> None:
    """Have a context trust the authorities of a file.

    Raises:
        TlsFilesError: It cannot be used.
    """
    content = _read(path) or b""
    try:
        context.load_verify_locations(cadata=content.decode("ascii"))
    except (OSError, ValueError) as error:
        raise TlsFilesError(f"{path} does not hold certificates in PEM ({_reason(error)})") from None
    if content.count(b"-----BEGIN ") != content.count(b"-----END "):
        raise TlsFilesError(f"{path} does not hold certificates in PEM (it breaks off)")


def load_pair(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Have a context show a certificate.

    Raises:
        TlsFilesError: It cannot be used.
    """
    try:
        context.load_cert_chain(cert, key, password=lambda: b"")  # without it a key with a password would ask for it
    except OSError as error:
        raise TlsFilesError(
            f"{cert} and {key} are no certificate chain and its private key, both in PEM, the key without a password"
            f" ({_reason(error)})"
        ) from None


class WatchedTls:
    """The files as they were last good. Safe to use from several threads.

    Args:
        files: Which ones.
        interval_s: They are looked at no more often than this, in seconds.
        monotonic: Returns seconds of a clock that never goes back.

    Raises:
        TlsFilesError: They cannot be used now, at the beginning.
    """

    def __init__(
        self, files: TlsFiles, *, interval_s: float = 0.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._files = files
        self._interval_s = interval_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen = files.stamp()
        self._content = files.read()
        self._looked_at = monotonic()

    @property
    def content(self) -> TlsContent:
        """What is in use."""
        return self._content

    def renewed(self) -> TlsContent | None:
        """Return what the files hold if that is new and good; None if all is as at the last call. Never raises."""
        with self._lock:
            now = self._monotonic()
            if now - self._looked_at < self._interval_s:
                return None
            self._looked_at = now
            stamp = self._files.stamp()
            return None if stamp == self._seen else self._read_again(stamp)

    def _read_again(self, stamp: Stamp) -> TlsContent | None:
        self._seen = stamp
        try:
            content = self._files.read()
        except TlsFilesError as error:
            _REFUSED.inc()
            log.error("changed TLS files are not used, those before stay in use", cause=str(error))
            return None
        if content == self._content:
            return None
        self._content = content
        _TAKEN.inc()
        log.info("changed TLS files are used for new connections", files=str(self._files))
        return content


def _stamp(path: Path | None) -> tuple[int, int, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsFilesError(f"{path} cannot be read: {error.strerror}") from None


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or "not text"
