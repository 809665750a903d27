"""How the Redis servers of a test are reached: in plain text or over TLS, with a password or without."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificate:
    """Files of a certificate for this machine, and of who signed it."""

    certificate: Path
    key: Path
    authority: Path

    @classmethod
    def make(cls, directory: Path) -> Certificate:
        """Make an authority, and a certificate of it."""
        directory.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        made = cls(directory / "cert.pem", directory / "key.pem", directory / "ca.pem")
        made.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        made.key.write_bytes(issued.private_key_pem.bytes())
        made.authority.write_bytes(authority.cert_pem.bytes())
        return made


@dataclass(frozen=True)
class RedisAccess:
    """What servers of one topology demand of their clients, and of each other.

    Args:
        password: Of the user `default`; empty: none. Letters, digits, `-` and `_`, so that it needs no %XX in a URL.
        certificate: They speak TLS only, and show this; None: plain text.
    """

    password: str = field(default="", repr=False)
    certificate: Certificate | None = None

    def listening(self, port: int) -> dict[str, str]:
        """Return the lines of a server's configuration that make it listen on a port."""
        lines = {"requirepass": self.password, "masterauth": self.password} if self.password else {}
        if self.certificate is None:
            return {"port": str(port), **lines}
        return {
            "port": "0",
            "tls-port": str(port),
            "tls-cert-file": str(self.certificate.certificate),
            "tls-key-file": str(self.certificate.key),
            "tls-ca-cert-file": str(self.certificate.authority),
            "tls-auth-clients": "no",
            "tls-replication": "yes",
            **lines,
        }

    def url(self, places: str, *, kind: str = "", path: str = "", options: str = "") -> str:
        """Return a URL with password and certificates.

        Args:
            places: Of the servers: `host:port,host:port`.
            kind: `+sentinel`, `+cluster` or empty.
            path: Behind the servers, with its `/`.
            options: Besides those of TLS: `name=value&name=value`.
        """
        password = f":{self.password}@" if self.password else ""
        authority = f"ssl_ca_certs={self.certificate.authority}" if self.certificate else ""
        query = "&".join(part for part in (authority, options) if part)
        return f"redis{'s' if self.certificate else ''}{kind}://{password}{places}{path}" + (
            f"?{query}" if query else ""
        )
