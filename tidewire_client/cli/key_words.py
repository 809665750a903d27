"""A key for people and for programs; without its secret."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from tidewire_client.keys import Key, KeyState, VerificationRate

KEY_COLUMNS: Final = ("KEY ID", "STATE", "OWNER", "NAME", "EXPIRES", "PERMISSIONS")


def state_word(key: Key, now: datetime) -> str:
    """Return the state, in which an active key whose time is over is `expired`."""
    if key.state is KeyState.ACTIVE and not key.usable(now):
        return "expired"
    return key.state.value


def key_record(key: Key, now: datetime) -> dict[str, Any]:
    """Return a key for programs; times are RFC 3339 in UTC, lengths of time are in seconds."""
    rate = key.verification_rate
    return {
        "key_id": key.key_id,
        "owner": key.owner,
        "name": key.name,
        "environment": key.environment,
        "prefix": key.prefix,
        "permissions": list(key.permissions),
        "allowed_domains": list(key.allowed_domains),
        "allowed_workspaces": list(key.allowed_workspaces),
        "limits": {name: number for name, number in asdict(key.limits).items() if number},
        "state": state_word(key, now),
        "state_reason": key.state_reason,
        "create_time": rfc3339(key.create_time),
        "update_time": rfc3339(key.update_time),
        "expire_time": None if key.expire_time is None else rfc3339(key.expire_time),
        "verification_rate": None if rate is None else _rate_record(rate),
        "max_uses": key.max_uses,
        "use_count": key.use_count,
        "replaced_by": key.replaced_by,
        "replaces": key.replaces,
        "etag": key.etag,
    }


def key_row(key: Key, now: datetime) -> list[str]:
    """Return a key as a row of the list."""
    return [
        key.key_id,
        state_word(key, now),
        key.owner,
        key.name or "-",
        _until(key.expire_time),
        " ".join(key.permissions),
    ]


def key_fields(key: Key, now: datetime) -> list[tuple[str, str]]:
    """Return a key as names and values; what is not set is left out."""
    rate = key.verification_rate
    limits = " ".join(f"{name}={number}" for name, number in asdict(key.limits).items() if number)
    pairs = [
        ("key id", key.key_id),
        ("state", state_word(key, now)),
        ("reason", key.state_reason),
        ("owner", key.owner),
        ("name", key.name),
        ("begins with", key.prefix),
        ("permissions", " ".join(key.permissions)),
        ("domains", " ".join(key.allowed_domains) or "all"),
        ("workspaces", " ".join(key.allowed_workspaces) or "all"),
        ("limits", limits or "those of the services"),
        ("rate", "" if rate is None else f"{rate.verifications} in {rate.period.total_seconds():g} s"),
        ("uses", f"{key.use_count} of {key.max_uses}" if key.max_uses else ""),
        ("replaces", key.replaces),
        ("replaced by", key.replaced_by),
        ("created", moment_words(key.create_time)),
        ("changed", moment_words(key.update_time)),
        ("expires", _until(key.expire_time)),
        ("etag", key.etag),
    ]
    return [(name, value) for name, value in pairs if value]


def _rate_record(rate: VerificationRate) -> dict[str, float]:
    return {"verifications": rate.verifications, "period_s": rate.period.total_seconds()}


def _until(moment: datetime | None) -> str:
    return "never" if moment is None else moment_words(moment)


def moment_words(moment: datetime) -> str:
    """Return a moment for people."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def rfc3339(moment: datetime) -> str:
    """Return a moment for programs."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
