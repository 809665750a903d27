"""Secrets at rest: HMAC-SHA-256 under a versioned pepper, compared in constant time.

A secret is 190 random bits, so a fast hash is enough; the pepper keeps a stolen store useless by itself.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from auth_service.core.errors import PepperError
from auth_service.core.keys import KeyRecord

MIN_PEPPER_CHARS: Final = 32
_FINGERPRINT_OF: Final = b"tidewire pepper fingerprint"
_NO_HASH: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Peppers:
    """All peppers that are known; new secrets are hashed under the current one."""

    current: int
    versions: Mapping[int, bytes] = field(repr=False)

    def hash(self, secret: str) -> bytes:
        """Return the hash of a new secret under the current pepper."""
        return _mac(self.versions[self.current], secret)

    def matches(self, record: KeyRecord | None, secret: str) -> bool:
        """Return whether the secret is that of the record.

        Without a record, or with one whose pepper is not known, the same work is done against a dummy, so
        that the time taken does not tell whether an id is known.
        """
        pepper = self.versions.get(record.pepper_version) if record is not None else None
        if record is None or pepper is None:
            hmac.compare_digest(_mac(self.versions[self.current], secret), _NO_HASH)
            return False
        return hmac.compare_digest(_mac(pepper, secret), record.secret_hash)

    def fingerprints(self) -> dict[int, str]:
        """Return for each version a text that says which pepper it is, and nothing more."""
        return {
            version: hmac.digest(pepper, _FINGERPRINT_OF, "sha256").hex()[:16]
            for version, pepper in self.versions.items()
        }


def _mac(pepper: bytes, secret: str) -> bytes:
    return hmac.digest(pepper, secret.encode(), "sha256")


def parse_peppers(text: str) -> Peppers:
    """Read peppers from a setting: `<secret>`, or `<version>:<secret>[,<version>:<secret>...]`, current first.

    Raises:
        PepperError: a version is no positive number or there twice, or a secret is too short.
    """
    versions: dict[int, bytes] = {}
    for part in text.split(","):
        number, colon, secret = part.strip().partition(":")
        if not colon:
            number, secret = "1", number
        add_pepper(versions, number, secret)
    return Peppers(next(iter(versions)), versions)


def add_pepper(versions: dict[int, bytes], number: str, secret: str) -> None:
    """Check one version of the pepper and add it to `versions`.

    Raises:
        PepperError: the version is no positive number or there already, or the secret is too short.
    """
    if not (number.isascii() and number.isdecimal() and len(number) < 10 and int(number) > 0):
        raise PepperError("a pepper's version must be a positive whole number")
    if int(number) in versions:
        raise PepperError(f"version {int(number)} of the pepper is given twice")
    if len(secret) < MIN_PEPPER_CHARS:
        raise PepperError(f"version {int(number)} of the pepper has fewer than {MIN_PEPPER_CHARS} characters")
    versions[int(number)] = secret.encode()
