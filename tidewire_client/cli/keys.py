"""`tidewire keys`: make, list, show, revoke, disable and enable API keys, through the auth service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

import typer

from tidewire_client.cli import options
from tidewire_client.cli.auth import AuthAccess, auth_access
from tidewire_client.cli.credentials import key_id_of
from tidewire_client.cli.durations import expiry
from tidewire_client.cli.failures import EXIT_CODES_HELP, UsageProblem
from tidewire_client.cli.key_words import key_fields, key_record, key_row
from tidewire_client.cli.output import Output
from tidewire_client.key_admin import DEFAULT_DEADLINE_S, KeyAdmin
from tidewire_client.keys import CreatedKey, Key
from tidewire_client.verdict import KeyLimits

app: Final = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make and change API keys, through the auth service.",
    epilog=EXIT_CODES_HELP,
)

LIMITS: Final = tuple(field.name for field in fields(KeyLimits))
MAX_LIMIT: Final = 2**32 - 1

R = TypeVar("R")
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The id of the key, as `tidewire keys list` shows it.")]
Reason = Annotated[str, typer.Option(help="Why, for the record: up to 256 characters.")]


@app.command(epilog=EXIT_CODES_HELP)
def create(
    owner: Annotated[str, typer.Option(help="Who answers for it.")],
    permissions: Annotated[
        list[str],
        typer.Option(
            "--permission",
            help="action:channel pattern, e.g. join:lobby or publish:chat-*; may be given again. Actions: join publish "
            "history presence broadcast direct threads admin, or *.",
        ),
    ],
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    domains: Annotated[
        list[str] | None, typer.Option("--domain", help="Allowed domain; may be given again; without any: all.")
    ] = None,
    workspaces: Annotated[
        list[str] | None, typer.Option("--workspace", help="Allowed workspace; may be given again; without any: all.")
    ] = None,
    expires_in: Annotated[str | None, typer.Option(help="How long it is good: 30d, 12h, 1d12h.")] = None,
    expires_at: Annotated[
        str | None, typer.Option(help="Until when it is good, with a time zone: 2027-01-31T12:00:00Z.")
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="NAME=NUMBER", help=f"A limit; may be given again. Names: {' '.join(LIMITS)}."),
    ] = None,
    environment: Annotated[str, typer.Option(help="Shown in the key: live or test.")] = "live",
    as_json: options.Json = False,
    auth_target: options.AuthTarget = options.DEFAULT_AUTH_TARGET,
    key_file: options.AdminKeyFile = None,
    tls_ca_file: options.TlsCaFile = None,
    tls_cert_file: options.TlsCertFile = None,
    tls_key_file: options.TlsKeyFile = None,
    timeout: options.Timeout = DEFAULT_DEADLINE_S,
) -> None:
    """Make a key. It is shown this once."""
    access = auth_access(auth_target, key_file, tls_ca_file, tls_cert_file, tls_key_file, timeout)
    expire_time = expiry(expires_in, expires_at, datetime.now(UTC))
    key_limits = parse_limits(limits or [])
    created = _run(
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
        ),
    )
    _print_created(Output(as_json=as_json), created)


@app.command("list", epilog=EXIT_CODES_HELP)
def list_keys(
    owner: Annotated[str, typer.Option(help="Only keys of this owner.", show_default="all")] = "",
    as_json: options.Json = False,
    auth_target: options.AuthTarget = options.DEFAULT_AUTH_TARGET,
    key_file: options.AdminKeyFile = None,
    tls_ca_file: options.TlsCaFile = None,
    tls_cert_file: options.TlsCertFile = None,
    tls_key_file: options.TlsKeyFile = None,
    timeout: options.Timeout = DEFAULT_DEADLINE_S,
) -> None:
    """List all keys, oldest first, without their secrets."""
    access = auth_access(auth_target, key_file, tls_ca_file, tls_cert_file, tls_key_file, timeout)
    output = Output(as_json=as_json)

    async def all_keys(admin: KeyAdmin) -> list[Key]:
        return [key async for key in admin.list_all(owner=owner)]

    keys = _run(access, all_keys)
    now = datetime.now(UTC)
    if as_json:
        output.record({"keys": [key_record(key, now) for key in keys]})
    elif keys:
        output.table(
            ["KEY ID", "STATE", "OWNER", "NAME", "EXPIRES", "PERMISSIONS"], [key_row(key, now) for key in keys]
        )
    else:
        output.note("there are no keys" + (f" of {owner}" if owner else ""))


@app.command(epilog=EXIT_CODES_HELP)
def show(
    key_id: KeyId,
    as_json: options.Json = False,
    auth_target: options.AuthTarget = options.DEFAULT_AUTH_TARGET,
    key_file: options.AdminKeyFile = None,
    tls_ca_file: options.TlsCaFile = None,
    tls_cert_file: options.TlsCertFile = None,
    tls_key_file: options.TlsKeyFile = None,
    timeout: options.Timeout = DEFAULT_DEADLINE_S,
) -> None:
    """Show a key, without its secret."""
    access = auth_access(auth_target, key_file, tls_ca_file, tls_cert_file, tls_key_file, timeout)
    wanted = key_id_of(key_id)
    _print_key(Output(as_json=as_json), _run(access, lambda admin: admin.get(wanted)))


@app.command(epilog=EXIT_CODES_HELP)
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
    key = _run(access, lambda admin: admin.revoke(wanted, reason=reason))
    _print_changed(Output(as_json=as_json), key, "is revoked for ever; its connections are closed")


@app.command(epilog=EXIT_CODES_HELP)
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
    key = _run(access, lambda admin: admin.disable(wanted, reason=reason))
    _print_changed(Output(as_json=as_json), key, "is disabled; its connections are closed")


@app.command(epilog=EXIT_CODES_HELP)
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
    key = _run(access, lambda admin: admin.enable(wanted))
    _print_changed(Output(as_json=as_json), key, "is enabled")


def parse_limits(texts: list[str]) -> KeyLimits:
    """Return limits that were given as NAME=NUMBER.

    Raises:
        UsageProblem: A name is not known, or a number is none or too large.
    """
    given: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in LIMITS:
            raise UsageProblem(f"--limit: {name!r} is none of {' '.join(LIMITS)}")
        if not (number.isascii() and number.isdigit()) or int(number) > MAX_LIMIT:
            raise UsageProblem(f"--limit: {name} must be 0 to {MAX_LIMIT}, and is {number!r}")
        given[name] = int(number)
    return KeyLimits(**given)


def _run(access: AuthAccess, call: Callable[[KeyAdmin], Awaitable[R]]) -> R:
    async def run() -> R:
        with access.explained():
            async with access.key_admin() as admin:
                return await call(admin)

    return asyncio.run(run())


def _print_created(output: Output, created: CreatedKey) -> None:
    now = datetime.now(UTC)
    if output.as_json:
        output.record({"api_key": created.api_key, "key": key_record(created.key, now)})
        return
    output.line((created.api_key, "bold"))
    output.note("This is the key. It is shown this once: keep it now.")
    output.fields(key_fields(created.key, now))


def _print_key(output: Output, key: Key) -> None:
    now = datetime.now(UTC)
    if output.as_json:
        output.record({"key": key_record(key, now)})
    else:
        output.fields(key_fields(key, now))


def _print_changed(output: Output, key: Key, words: str) -> None:
    if output.as_json:
        output.record({"key": key_record(key, datetime.now(UTC))})
    else:
        output.line((key.key_id, "bold"), f" {words}")
