"""Options of the key commands, and what people write in them as values of the client."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Annotated, Final

import typer

from tidewire_client.cli.durations import parse_duration
from tidewire_client.cli.failures import UsageProblem
from tidewire_client.keys import VerificationRate
from tidewire_client.verdict import KeyLimits

LIMITS: Final = tuple(field.name for field in fields(KeyLimits))
MAX_LIMIT: Final = 2**32 - 1

KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The id of the key, as `tidewire keys list` shows it.")]
Reason = Annotated[str, typer.Option(help="Why, for the record: up to 256 characters.")]
Limits = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="NAME=NUMBER", help=f"A limit; may be given again. Names: {' '.join(LIMITS)}."),
]
ExpiresIn = Annotated[str | None, typer.Option(help="How long it is good: 30d, 12h, 1d12h.")]
ExpiresAt = Annotated[str | None, typer.Option(help="Until when it is good, with a time zone: 2027-01-31T12:00:00Z.")]
Rate = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER/TIME", help="How often it may be verified, on all services together: 100/1m, 5000/1d."
    ),
]
PERMISSION_HELP: Final = (
    "action:channel pattern, e.g. join:lobby or publish:chat-*; may be given again. Actions: join publish "
    "history presence broadcast direct threads admin, or *."
)


def parse_limits(texts: list[str]) -> dict[str, int]:
    """Return limits that were given as NAME=NUMBER, by name.

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
    return given


def parse_rate(text: str) -> VerificationRate:
    """Return a rate that was given as NUMBER/TIME.

    Raises:
        UsageProblem: It is none.
    """
    number, _, period = text.partition("/")
    if not (number.isascii() and number.isdigit()) or not 1 <= int(number) <= 1_000_000 or not period:
        raise UsageProblem(f"--rate: {text!r} is no rate: 100/1m is, with 1 to 1000000 verifications")
    return VerificationRate(int(number), parse_duration(period))


def parse_grace(text: str) -> timedelta:
    """Return a time of grace; `0` is none.

    Raises:
        UsageProblem: It is none of these.
    """
    return timedelta() if text in ("0", "0s") else parse_duration(text)
