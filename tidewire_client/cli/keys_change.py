"""`tidewire keys update`, `disable`, `enable`, `revoke` and `delete`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from tidewire_client.cli import options
from tidewire_client.cli.auth import auth_access
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
from tidewire_client.cli.output import Output
from tidewire_client.key_admin import DEFAULT_DEADLINE_S
from tidewire_client.key_requests import KeyFields


def update(
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
    as_json: options.Json = False,
    auth_target: options.AuthTarget = options.DEFAULT_AUTH_TARGET,
    key_file: options.AdminKeyFile = None,
    tls_ca_file: options.TlsCaFile = None,
    tls_cert_file: options.TlsCertFile = None,
    tls_key_file: options.TlsKeyFile = None,
    timeout: options.Timeout = DEFAULT_DEADLINE_S,
) -> None:
    """Change a key: what is given, and nothing else. Its live connections go on with what it allows then."""
    access = auth_access(auth_target, key_file, tls_ca_file, tls_cert_file, tls_key_file, timeout)
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
    print_changed(Output(as_json=as_json), key, f"is changed: {' '.join(sorted(fields))}")


def disable(
    key_id: KeyId,
    reason: Reason = "",
    as_json: options.Json = False,
    auth_target: options.AuthTarget = options.DEFAULT_AUTH_TARGET,
    key_file: options.AdminKeyFile = None,
    tls_ca_file: options.TlsCaFile = None,
    tls_cert_file: options.TlsCertFile = None,
    tls_key_file: options.TlsKeyFile = None,
    timeout: options.Timeout = DEFAULT_DEADLINE_S,
) -> None:
    """Refuse a key until it is enabled. Its live connections are closed. May be repeated."""
    access = auth_access(auth_target, key_file, tls_ca_file, tls_cert_file, tls_key_file, timeout)
    wanted = key_id_of(key_id)
    key = run_admin(access, lambda admin: admin.disable(wanted, reason=reason))
    print_changed(Output(as_json=as_json), key, "is disabled; its connections are closed")


def enable(
    key_id: KeyId,
    as_json: options.Json = False,
    auth_target: options.AuthTarget = options.DEFAULT_AUTH_TARGET,
    key_file: options.AdminKeyFile = None,
    tls_ca_file: options.TlsCaFile = None,
    tls_cert_file: options.TlsCertFile = None,
    tls_key_file: options.TlsKeyFile = None,
    timeout: options.Timeout = DEFAULT_DEADLINE_S,
) -> None:
    """Let a disabled key in again. May be repeated."""
    access = auth_access(auth_target, key_file, tls_ca_file, tls_cert_file, tls_key_file, timeout)
    wanted = key_id_of(key_id)
    key = run_admin(access, lambda admin: admin.enable(wanted))
    print_changed(Output(as_json=as_json), key, "is enabled")


def revoke(
    key_id: KeyId,
    reason: Reason = "",
    as_json: options.Json = False,
    auth_target: options.AuthTarget = options.DEFAULT_AUTH_TARGET,
    key_file: options.AdminKeyFile = None,
    tls_ca_file: options.TlsCaFile = None,
    tls_cert_file: options.TlsCertFile = None,
    tls_key_file: options.TlsKeyFile = None,
    timeout: options.Timeout = DEFAULT_DEADLINE_S,
) -> None:
    """Refuse a key for ever. Its live connections are closed. May be repeated."""
    access = auth_access(auth_target, key_file, tls_ca_file, tls_cert_file, tls_key_file, timeout)
    wanted = key_id_of(key_id)
    key = run_admin(access, lambda admin: admin.revoke(wanted, reason=reason))
    print_changed(Output(as_json=as_json), key, "is revoked for ever; its connections are closed")


def delete(
    key_id: KeyId,
    reason: Reason = "",
    as_json: options.Json = False,
    auth_target: options.AuthTarget = options.DEFAULT_AUTH_TARGET,
    key_file: options.AdminKeyFile = None,
    tls_ca_file: options.TlsCaFile = None,
    tls_cert_file: options.TlsCertFile = None,
    tls_key_file: options.TlsKeyFile = None,
    timeout: options.Timeout = DEFAULT_DEADLINE_S,
) -> None:
    """Remove a key for good. Its live connections are closed. The audit log keeps what it was."""
    access = auth_access(auth_target, key_file, tls_ca_file, tls_cert_file, tls_key_file, timeout)
    wanted = key_id_of(key_id)
    run_admin(access, lambda admin: admin.delete(wanted, reason=reason))
    output = Output(as_json=as_json)
    if as_json:
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
