"""What `listen` and `send` share: as whom they connect to which edge, and what to do about a failure there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tidewire_client.cli.credentials import (
    Credential,
    check_url,
    default_client_id,
    edge_key,
    sends_key_in_the_clear,
)
from tidewire_client.cli.failures import CommandFailed, UsageProblem, hint
from tidewire_client.cli.output import Output
from tidewire_client.edge_connection import EdgeLogin
from tidewire_client.errors import TidewireError


@dataclass(frozen=True, slots=True)
class EdgeAccess:
    """An edge, and the credential for it."""

    login: EdgeLogin
    credential: Credential

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Add to whatever the client raises what can be done about it."""
        try:
            yield
        except TidewireError as cause:
            words = hint(
                cause,
                address=f"the edge at {self.login.url}; --url or TIDEWIRE_URL names another, and "
                "`python3 scripts/manage.py start` starts one on this machine",
                credential=f"{self.credential.origin}; TIDEWIRE_API_KEY or --key-file names another",
            )
            raise CommandFailed(cause, words) from None


def edge_access(
    output: Output, url: str, key_file: Path | None, client_id: str | None, domain: str, workspace: str
) -> EdgeAccess:
    """Return the edge that the options name.

    Raises:
        UsageProblem: There is no key, or an option is wrong.
    """
    credential = edge_key(check_url(url), key_file, os.environ)
    if sends_key_in_the_clear(url):
        output.warn(f"The key goes to {url} without encryption: use https.")
    login = EdgeLogin(url, credential.secret, client_id or default_client_id(), domain, workspace)
    return EdgeAccess(login, credential)


def check_channel(channel: str) -> str:
    """Return a channel that can be joined.

    Raises:
        UsageProblem: It is reserved.
    """
    if channel == "*" or channel.startswith("@"):
        raise UsageProblem(
            f"{channel} is reserved for broadcasts and direct messages, and is not joined: name a channel"
        )
    return channel
