"""What the key commands share: which auth service they call as whom, and what to do about a failure there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from service_runtime.tls_files import TlsFiles
from tidewire_client.cli import options
from tidewire_client.cli.credentials import Credential, admin_credential, tls_files
from tidewire_client.cli.failures import CommandFailed, hint
from tidewire_client.cli.option_sets import option_set
from tidewire_client.errors import TidewireError
from tidewire_client.key_admin import DEFAULT_DEADLINE_S, KeyAdmin
from tidewire_client.verifier import KeyVerifier


@dataclass(frozen=True, slots=True)
class AuthAccess:
    """An auth service, the credential for it, what TLS needs (None: plain text), and how long to try, in seconds."""

    target: str
    credential: Credential
    tls: TlsFiles | None
    timeout_s: float

    def key_admin(self) -> KeyAdmin:
        """Return the client that administers."""
        return KeyAdmin(self.target, token=self.credential.secret, credentials=self.tls, deadline_s=self.timeout_s)

    def verifier(self) -> KeyVerifier:
        """Return the client that verifies."""
        token = self.credential.secret
        return KeyVerifier(self.target, service_token=token, credentials=self.tls, deadline_s=self.timeout_s)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Add to whatever the client raises what can be done about it."""
        try:
            yield
        except TidewireError as cause:
            words = hint(
                cause,
                address=f"the auth service at {self.target}; --auth-target or TIDEWIRE_AUTH_TARGET names another, and "
                "`python3 scripts/manage.py start` starts one on this machine",
                credential=f"{self.credential.origin}; it must be the service token (TIDEWIRE_SERVICE_TOKEN), a key with "
                "the permission admin:* (TIDEWIRE_API_KEY or --key-file), or a certificate that the service was told of",
            )
            raise CommandFailed(cause, words) from None


def auth_access(
    auth_target: options.AuthTarget = options.DEFAULT_AUTH_TARGET,
    key_file: options.AdminKeyFile = None,
    tls_ca_file: options.TlsCaFile = None,
    tls_cert_file: options.TlsCertFile = None,
    tls_key_file: options.TlsKeyFile = None,
    timeout: options.Timeout = DEFAULT_DEADLINE_S,
) -> AuthAccess:
    """Return the auth service that the options name.

    Raises:
        UsageProblem: There is no credential, or an option is wrong.
    """
    credential = admin_credential(auth_target, key_file, os.environ, certificate=tls_cert_file)
    return AuthAccess(auth_target, credential, tls_files(tls_ca_file, tls_cert_file, tls_key_file), timeout)


# Over a command: its first parameter is the auth service that it asks.
asks_auth_service: Final = option_set(auth_access)
