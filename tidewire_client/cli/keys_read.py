"""`tidewire keys list` and `get`: keys, without their secrets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from tidewire_client.cli.auth import AuthAccess, asks_auth_service
from tidewire_client.cli.credentials import key_id_of
from tidewire_client.cli.durations import moment_or_span
from tidewire_client.cli.failures import UsageProblem
from tidewire_client.cli.key_options import KeyId
from tidewire_client.cli.key_output import print_key, run_admin
from tidewire_client.cli.key_words import KEY_COLUMNS, key_record, key_row
from tidewire_client.cli.output import Output, prints
from tidewire_client.key_admin import KeyAdmin
from tidewire_client.key_requests import KeyFilters
from tidewire_client.keys import Key, KeyState

_STATES = tuple(state.value for state in KeyState if state is not KeyState.UNKNOWN)


@asks_auth_service
@prints
def list_keys(
    output: Output,
    access: AuthAccess,
    owner: Annotated[str, typer.Option(help="Only keys of this owner.", show_default="all")] = "",
    states: Annotated[
        list[str] | None,
        typer.Option(
            "--state", help=f"Only keys in this state; may be given again: {' '.join(_STATES)}.", show_default="all"
        ),
    ] = None,
    environment: Annotated[str, typer.Option(help="Only live or test keys.", show_default="all")] = "",
    name_contains: Annotated[str, typer.Option(help="Only keys with this in their name.", show_default="all")] = "",
    expires_before: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only keys whose time is over by then: 7d from now, or a moment: 2027-01-31T12:00:00Z.",
            show_default="all",
        ),
    ] = None,
) -> None:
    """List keys, oldest first, without their secrets."""
    now = datetime.now(UTC)
    filters = KeyFilters(
        owner=owner,
        states=_parse_states(states or []),
        environment=environment,
        name_contains=name_contains,
        expires_before=moment_or_span("--expires-before", expires_before, now),
    )

    async def all_keys(admin: KeyAdmin) -> list[Key]:
        return [key async for key in admin.list_all(**filters)]

    keys = run_admin(access, all_keys)
    if output.as_json:
        output.record({"keys": [key_record(key, now) for key in keys]})
    elif keys:
        output.table(KEY_COLUMNS, [key_row(key, now) for key in keys])
    else:
        output.note("there are no such keys" if any(filters.values()) else "there are no keys")


@asks_auth_service
@prints
def get(
    output: Output,
    access: AuthAccess,
    key_id: KeyId,
) -> None:
    """Show a key, without its secret."""
    wanted = key_id_of(key_id)
    print_key(output, run_admin(access, lambda admin: admin.get(wanted)))


def _parse_states(texts: list[str]) -> list[KeyState]:
    unknown = sorted(set(texts) - set(_STATES))
    if unknown:
        raise UsageProblem(f"--state: {unknown[0]} is none of {' '.join(_STATES)}")
    return [KeyState(text) for text in texts]
