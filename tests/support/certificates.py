"""Certificates for one occasion: an authority, and a certificate of it for this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """Files of a certificate, its key, and who signed it."""

    cert: Path
    key: Path
    authority: Path

    @staticmethod
    def make(folder: Path) -> Certificates:
        """Make them in a folder, for `localhost` and 127.0.0.1."""
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        made = Certificates(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
        made.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        made.key.write_bytes(issued.private_key_pem.bytes())
        made.authority.write_bytes(authority.cert_pem.bytes())
        return made

    @property
    def flags(self) -> dict[str, object]:
        """Flags of a service that shows the certificate."""
        return {"tls-cert-file": self.cert, "tls-key-file": self.key, "tls-ca-file": self.authority}
