"""How the key commands call the auth service, and how they print keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from tidewire_client.cli.auth import AuthAccess
from tidewire_client.cli.key_words import key_fields, key_record
from tidewire_client.cli.output import Output
from tidewire_client.key_admin import KeyAdmin
from tidewire_client.keys import Key

R = TypeVar("R")


def run_admin(access: AuthAccess, call: Callable[[KeyAdmin], Awaitable[R]]) -> R:
    """Return what an administrator's call returns.

    Raises:
        CommandFailed: The call failed.
    """

    async def run() -> R:
        with access.explained():
            async with access.key_admin() as admin:
                return await call(admin)

    return asyncio.run(run())


def print_new(output: Output, key: Key, api_key: str, more: dict[str, Any]) -> None:
    """Print a key that was just made, with the whole key, this once.

    Args:
        output: Where to.
        key: The key.
        api_key: The whole key.
        more: For programs, beside it.
    """
    now = datetime.now(UTC)
    if output.as_json:
        output.record({"api_key": api_key, "key": key_record(key, now), **more})
        return
    output.line((api_key, "bold"))
    output.note("This is the key. It is shown this once: keep it now.")
    output.fields(key_fields(key, now))


def print_key(output: Output, key: Key) -> None:
    """Print a key, all but its secret."""
    now = datetime.now(UTC)
    if output.as_json:
        output.record({"key": key_record(key, now)})
    else:
        output.fields(key_fields(key, now))


def print_changed(output: Output, key: Key, words: str) -> None:
    """Print that a key was changed."""
    if output.as_json:
        output.record({"key": key_record(key, datetime.now(UTC))})
    else:
        output.line((key.key_id, "bold"), f" {words}")
