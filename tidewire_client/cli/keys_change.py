"""`tidewire keys update`, `disable`, `enable`, `revoke` and `delete`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from tidewire_client.cli.auth import AuthAccess, asks_auth_service
from tidewire_client.cli.credentials import key_id_of
from tidewire_client.cli.durations import expiry
from tidewire_client.cli.failures import UsageProblem
from tidewire_client.cli.key_options import (
    PERMISSION_HELP,
    ExpiresAt,
    ExpiresIn,
    KeyId,
    Limits,
    Rate,
    Reason,
    parse_limits,
    parse_rate,
)
from tidewire_client.cli.key_output import print_changed, run_admin
from tidewire_client.cli.output import Output, prints
from tidewire_client.key_requests import KeyFields


@asks_auth_service
@prints
def update(
    output: Output,
    access: AuthAccess,
    key_id: KeyId,
    owner: Annotated[str | None, typer.Option(help="Who answers for it.")] = None,
    name: Annotated[str | None, typer.Option(help="A name for people; empty: none.")] = None,
    permissions: Annotated[
        list[str] | None, typer.Option("--permission", help=f"Instead of those it has: {PERMISSION_HELP}")
    ] = None,
    domains: Annotated[
        list[str] | None, typer.Option("--domain", help="Allowed domain, instead of those before; may be given again.")
    ] = None,
    all_domains: Annotated[bool, typer.Option("--all-domains", help="Allow all domains.")] = False,
    workspaces: Annotated[
        list[str] | None,
        typer.Option("--workspace", help="Allowed workspace, instead of those before; may be given again."),
    ] = None,
    all_workspaces: Annotated[bool, typer.Option("--all-workspaces", help="Allow all workspaces.")] = False,
    expires_in: ExpiresIn = None,
    expires_at: ExpiresAt = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="It never expires.")] = False,
    limits: Limits = None,
    rate: Rate = None,
    no_rate: Annotated[
        bool, typer.Option("--no-rate", help="It may be verified as often as its holder likes.")
    ] = False,
    max_uses: Annotated[
        int | None, typer.Option(min=0, help="Verifications that it is good for; 0: without end.")
    ] = None,
    etag: Annotated[
        str, typer.Option(help="Of the key as `tidewire keys get` showed it: refused if it has changed since.")
    ] = "",
) -> None:
    """Change a key: what is given, and nothing else. Its live connections go on with what it allows then."""
    wanted = key_id_of(key_id)
    pairs: list[tuple[str, Any]] = [
        ("owner", owner),
        ("name", name),
        ("permissions", permissions or None),
        ("limits", parse_limits(limits) if limits else None),
        ("max_uses", max_uses),
        ("domains", domains or None),
        ("workspaces", workspaces or None),
        ("expire_time", expiry(expires_in, expires_at, datetime.now(UTC))),
        ("verification_rate", None if rate is None else parse_rate(rate)),
    ]
    fields = {field: value for field, value in pairs if value is not None}
    _empty(fields, "domains", (), {"--all-domains": all_domains})
    _empty(fields, "workspaces", (), {"--all-workspaces": all_workspaces})
    _empty(fields, "expire_time", None, {"--never-expires": never_expires})
    _empty(fields, "verification_rate", None, {"--no-rate": no_rate})
    if not fields:
        raise UsageProblem("nothing to change is given")
    changes = KeyFields(**fields)  # type: ignore[typeddict-item]
    key = run_admin(access, lambda admin: admin.update(wanted, etag=etag, **changes))
    print_changed(output, key, f"is changed: {' '.join(sorted(fields))}")


@asks_auth_service
@prints
def disable(
    output: Output,
    access: AuthAccess,
    key_id: KeyId,
    reason: Reason = "",
) -> None:
    """Refuse a key until it is enabled. Its live connections are closed. May be repeated."""
    wanted = key_id_of(key_id)
    key = run_admin(access, lambda admin: admin.disable(wanted, reason=reason))
    print_changed(output, key, "is disabled; its connections are closed")


@asks_auth_service
@prints
def enable(
    output: Output,
    access: AuthAccess,
    key_id: KeyId,
) -> None:
    """Let a disabled key in again. May be repeated."""
    wanted = key_id_of(key_id)
    key = run_admin(access, lambda admin: admin.enable(wanted))
    print_changed(output, key, "is enabled")


@asks_auth_service
@prints
def revoke(
    output: Output,
    access: AuthAccess,
    key_id: KeyId,
    reason: Reason = "",
) -> None:
    """Refuse a key for ever. Its live connections are closed. May be repeated."""
    wanted = key_id_of(key_id)
    key = run_admin(access, lambda admin: admin.revoke(wanted, reason=reason))
    print_changed(output, key, "is revoked for ever; its connections are closed")


@asks_auth_service
@prints
def delete(
    output: Output,
    access: AuthAccess,
    key_id: KeyId,
    reason: Reason = "",
) -> None:
    """Remove a key for good. Its live connections are closed. The audit log keeps what it was."""
    wanted = key_id_of(key_id)
    run_admin(access, lambda admin: admin.delete(wanted, reason=reason))
    if output.as_json:
        output.record({"key_id": wanted})
    else:
        output.line((wanted, "bold"), " is removed; its connections are closed")


def _empty(fields: dict[str, Any], field: str, nothing: object, switches: Mapping[str, bool]) -> None:
    """Empty a field whose switch is on."""
    for switch, is_on in switches.items():
        if is_on and field in fields:
            raise UsageProblem(f"{switch} cannot be given together with another value for the same")
        if is_on:
            fields[field] = nothing
