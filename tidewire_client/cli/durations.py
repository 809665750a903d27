"""When a key expires, as people write it: `30d`, `12h`, `1d12h`, or a moment with its time zone."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from tidewire_client.cli.failures import UsageProblem

_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION: Final = re.compile(r"(?:[0-9]{1,6}[wdhms])+")
_PART: Final = re.compile(r"(\d+)([wdhms])")


def parse_duration(text: str) -> timedelta:
    """Return a length of time.

    Raises:
        UsageProblem: It is none.
    """
    if _DURATION.fullmatch(text):
        duration = sum((timedelta(**{_UNITS[unit]: int(n)}) for n, unit in _PART.findall(text)), timedelta())
        if duration > timedelta():
            return duration
    raise UsageProblem(f"{text!r} is no length of time: 30d, 12h, 90m, 45s, 2w or 1d12h is")


def parse_moment(text: str) -> datetime:
    """Return a moment.

    Raises:
        UsageProblem: It is none, or has no time zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageProblem(f"{text!r} is no moment with a time zone: 2027-01-31T12:00:00Z or ...+02:00 is")
    return moment


def moment_or_span(option: str, text: str | None, now: datetime, *, ago: bool = False) -> datetime | None:
    """Return a moment that was given as such, or as a length of time from now.

    Args:
        option: Named in errors.
        text: What was given; None: nothing.
        now: The present moment.
        ago: A length of time lies in the past.

    Raises:
        UsageProblem: It is neither.
    """
    if text is None:
        return None
    try:
        if _DURATION.fullmatch(text):
            span = parse_duration(text)
            return now - span if ago else now + span
        return parse_moment(text)
    except OverflowError:
        raise UsageProblem(f"{option}: {text} is too long") from None
    except UsageProblem as problem:
        raise UsageProblem(f"{option}: {problem}") from None


def expiry(expires_in: str | None, expires_at: str | None, now: datetime) -> datetime | None:
    """Return when a key expires; None: never.

    Raises:
        UsageProblem: Both are given, one is wrong, or it is not in the future.
    """
    if expires_in is not None and expires_at is not None:
        raise UsageProblem("--expires-in and --expires-at cannot be given together")
    if expires_at is not None:
        moment = parse_moment(expires_at)
        if moment <= now:
            raise UsageProblem(f"--expires-at: {expires_at} is over")
        return moment
    if expires_in is None:
        return None
    try:
        return now + parse_duration(expires_in)
    except OverflowError:
        raise UsageProblem(f"--expires-in: {expires_in} is too long") from None
