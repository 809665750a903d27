"""Certificates made for the occasion: an authority, and identities that it signs, in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme

from service_runtime.tls_files import TlsFiles


@dataclass(frozen=True)
class Identity:
    """Files of a certificate, and of whom its owner trusts."""

    ca: Path
    cert: Path
    key: Path

    def files(self, *, show: bool = True) -> TlsFiles:
        """Return them for a client; `show` false: without the certificate."""
        return TlsFiles(self.ca, self.cert, self.key) if show else TlsFiles(self.ca)

    def flags(self) -> dict[str, object]:
        """Return the flags of a service that demands certificates of its callers."""
        return {
            "tls-ca-file": self.ca,
            "tls-cert-file": self.cert,
            "tls-key-file": self.key,
            "tls-client-auth": True,
        }


class Authority:
    """Signs certificates for this machine."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self._authority.cert_pem.bytes()

    def identity(
        self, folder: Path, name: str = "service", *, trusts: bytes | None = None, here: bool = True
    ) -> Identity:
        """Write a certificate of that name, and return its files, which are replaced if they are there.

        Args:
            folder: Where the files are to be; made if it is missing.
            name: A DNS name in the certificate, and the first part of the file names.
            trusts: Certificates of authorities; None: this one's only.
            here: It is good for a server of this machine.
        """
        folder.mkdir(parents=True, exist_ok=True)
        made = Identity(folder / f"{name}-ca.pem", folder / f"{name}.pem", folder / f"{name}.key")
        hosts = ("localhost", "127.0.0.1") if here else ()
        issued = self._authority.issue_cert(*hosts, name, common_name=f"{name} of the tests")
        put(made.ca, self.pem if trusts is None else trusts)
        put(made.cert, b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        put(made.key, issued.private_key_pem.bytes())
        return made


@dataclass(frozen=True)
class Identities:
    """One for each service, and one for whoever calls them from outside."""

    auth: Identity
    session: Identity
    edge: Identity
    operator: Identity

    @classmethod
    def of(cls, authority: Authority, folder: Path, *, trusts: bytes | None = None) -> Identities:
        """Write them all, named `<service>.tidewire`; files that are there are replaced."""
        return cls(
            *(
                authority.identity(folder, f"{name}.tidewire", trusts=trusts)
                for name in ("auth", "session", "edge", "operator")
            )
        )

    def trust(self, authorities: bytes) -> None:
        """Replace whom they all trust."""
        for identity in (self.auth, self.session, self.edge, self.operator):
            put(identity.ca, authorities)


def put(path: Path, content: bytes) -> None:
    """Write a file as those who renew certificates do: whole, and then in the place of the old one."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_bytes(content)
    draft.replace(path)
