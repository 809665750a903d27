"""Certificates for development: an authority, one certificate for each service, and one for whoever operates them.

Made for trying mutual TLS on one machine or in one Compose network. Production has an authority of its own, whose key is
kept elsewhere.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scripts.environment import SetupError

SERVICES: Final = ("auth", "session", "edge")
OPERATOR: Final = "operator"
VALID_DAYS: Final = 825
CALLERS: Final = "edge.tidewire=verify,check,watch;operator.tidewire=*"

_ADDRESSES: Final = ("127.0.0.1", "::1")
_BACKDATED: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Folder:
    """Where the certificates are.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate, which all trust."""
        return self.path / "ca.pem"

    def cert(self, name: str) -> Path:
        """The certificate of a service, or of the operator."""
        return self.path / f"{name}.pem"

    def key(self, name: str) -> Path:
        """Its private key."""
        return self.path / f"{name}-key.pem"

    def files(self) -> list[Path]:
        """Return all of them."""
        names = (*SERVICES, OPERATOR)
        return [self.ca, self.key("ca"), *(path for name in names for path in (self.cert(name), self.key(name)))]

    def complete(self) -> bool:
        """Whether all of them are there."""
        return all(path.exists() for path in self.files())

    def settings_of(self, service: str) -> dict[str, object]:
        """Return the settings of a service that shows its own certificate and demands one of its callers."""
        chosen = {"tls_ca_file": self.ca, "tls_cert_file": self.cert(service), "tls_key_file": self.key(service)}
        return {**chosen, "tls_client_auth": True, **({"caller_certificates": CALLERS} if service == "auth" else {})}

    def variables(self) -> list[str]:
        """Return the settings of all services, a variable a line."""
        return [
            f"TIDEWIRE_{service.upper()}_{name.upper()}='{str(value).lower() if value is True else value}'"
            for service in SERVICES
            for name, value in self.settings_of(service).items()
        ]


def make_certificates(folder: Folder, *, force: bool = False, now: datetime | None = None) -> None:
    """Make all files, each readable by its owner only.

    Args:
        folder: Made if it is missing.
        force: Replace files that are there; every certificate made before is worth nothing then.
        now: From when they are valid, for 825 days; None: from now.

    Raises:
        SetupError: A file is there, or the folder cannot be written.
    """
    present = [str(path) for path in folder.files() if path.exists()]
    if present and not force:
        raise SetupError(
            f"{', '.join(present)}: already there, and kept; --force replaces them, --out names another folder"
        )
    begin = (now or datetime.now(UTC)) - _BACKDATED
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key, begin)
    made = {folder.ca: _pem(authority), folder.key("ca"): _key_pem(authority_key)}
    for name in (*SERVICES, OPERATOR):
        key = ec.generate_private_key(ec.SECP256R1())
        made[folder.cert(name)] = _pem(_issued(name, key, authority, authority_key, begin))
        made[folder.key(name)] = _key_pem(key)
    try:
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content in made.items():
            _write(path, content)
    except OSError as error:
        raise SetupError(f"{folder.path} cannot be written: {error.strerror}") from None


def _authority(key: ec.EllipticCurvePrivateKey, begin: datetime) -> x509.Certificate:
    name = _named("Tidewire development authority")
    return (
        _builder(name, name, key, begin)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _issued(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    begin: datetime,
) -> x509.Certificate:
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if name in SERVICES else [])]
    names: list[x509.GeneralName] = [x509.DNSName(f"{name}.tidewire"), x509.DNSName(name)]
    if name in SERVICES:
        names += [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(text)) for text in _ADDRESSES)]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(_named(f"Tidewire {name}"), authority.subject, key, begin)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begin: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file whole, and never readable by others, not even for a moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)


def report(folder: Folder) -> Iterable[str]:
    """Return what to do with the files, in lines for people."""
    yield f"made in {folder.path}: an authority, a certificate for each of {', '.join(SERVICES)}, and one for {OPERATOR}"
    yield "set these, and every service speaks mutual TLS; `manage.py start --tls` does so by itself:"
    yield from (f"  export {line}" for line in folder.variables())
    yield "and call the auth service as the operator, without a token:"
    yield (
        f"  tidewire keys list --tls-ca-file {folder.ca} --tls-cert-file {folder.cert(OPERATOR)}"
        f" --tls-key-file {folder.key(OPERATOR)}"
    )
