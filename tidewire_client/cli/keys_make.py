"""`tidewire keys create` and `rotate`: the commands that show a whole key, once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from tidewire_client.cli.auth import AuthAccess, asks_auth_service
from tidewire_client.cli.credentials import key_id_of
from tidewire_client.cli.durations import expiry
from tidewire_client.cli.key_options import (
    PERMISSION_HELP,
    ExpiresAt,
    ExpiresIn,
    KeyId,
    Limits,
    Rate,
    parse_grace,
    parse_limits,
    parse_rate,
)
from tidewire_client.cli.key_output import print_new, run_admin
from tidewire_client.cli.key_words import key_record, moment_words
from tidewire_client.cli.output import Output, prints
from tidewire_client.verdict import KeyLimits


@asks_auth_service
@prints
def create(
    output: Output,
    access: AuthAccess,
    owner: Annotated[str, typer.Option(help="Who answers for it.")],
    permissions: Annotated[list[str], typer.Option("--permission", help=PERMISSION_HELP)],
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    domains: Annotated[
        list[str] | None, typer.Option("--domain", help="Allowed domain; may be given again; without any: all.")
    ] = None,
    workspaces: Annotated[
        list[str] | None, typer.Option("--workspace", help="Allowed workspace; may be given again; without any: all.")
    ] = None,
    expires_in: ExpiresIn = None,
    expires_at: ExpiresAt = None,
    limits: Limits = None,
    rate: Rate = None,
    max_uses: Annotated[int, typer.Option(min=0, help="Verifications that it is good for; 0: without end.")] = 0,
    environment: Annotated[str, typer.Option(help="Shown in the key: live or test.")] = "live",
) -> None:
    """Make a key. It is shown this once."""
    expire_time = expiry(expires_in, expires_at, datetime.now(UTC))
    key_limits = KeyLimits(**parse_limits(limits or []))
    key_rate = None if rate is None else parse_rate(rate)
    created = run_admin(
        access,
        lambda admin: admin.create(
            owner,
            permissions,
            name=name,
            domains=domains or (),
            workspaces=workspaces or (),
            limits=key_limits,
            expire_time=expire_time,
            environment=environment,
            verification_rate=key_rate,
            max_uses=max_uses,
        ),
    )
    print_new(output, created.key, created.api_key, {})


@asks_auth_service
@prints
def rotate(
    output: Output,
    access: AuthAccess,
    key_id: KeyId,
    grace: Annotated[str, typer.Option(help="How long the old key stays good: 24h, 7d, at most 366d; 0: not at all.")],
    expires_in: ExpiresIn = None,
    expires_at: ExpiresAt = None,
) -> None:
    """Make a key in the place of another, with a new id. The new key is shown this once; the old one ends after the grace."""
    wanted, span = key_id_of(key_id), parse_grace(grace)
    expire_time = expiry(expires_in, expires_at, datetime.now(UTC))
    rotated = run_admin(access, lambda admin: admin.rotate(wanted, grace=span, expire_time=expire_time))
    replaced = {"replaced": key_record(rotated.replaced, datetime.now(UTC))}
    print_new(output, rotated.key, rotated.api_key, replaced)
    if rotated.replaced.expire_time is not None:
        output.note(f"{rotated.replaced.key_id}, which it replaces, ends {moment_words(rotated.replaced.expire_time)}.")
