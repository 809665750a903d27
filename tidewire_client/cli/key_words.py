"""A key for people and for programs; without its secret."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tidewire_client.keys import Key, KeyState


def state_word(key: Key, now: datetime) -> str:
    """Return the state, in which an active key whose time is over is `expired`."""
    if key.state is KeyState.ACTIVE and not key.usable(now):
        return "expired"
    return key.state.value


def key_record(key: Key, now: datetime) -> dict[str, Any]:
    """Return a key for programs; times are RFC 3339 in UTC."""
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
        "create_time": _rfc3339(key.create_time),
        "update_time": _rfc3339(key.update_time),
        "expire_time": None if key.expire_time is None else _rfc3339(key.expire_time),
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
        ("created", _moment(key.create_time)),
        ("changed", _moment(key.update_time)),
        ("expires", _until(key.expire_time)),
    ]
    return [(name, value) for name, value in pairs if value]


def _until(moment: datetime | None) -> str:
    return "never" if moment is None else _moment(moment)


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
