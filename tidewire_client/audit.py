"""Entries of the audit log: who changed which key when, and what it was before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, TypedDict

from tidewire.auth.v1 import admin_pb2

from tidewire_client.key_requests import check_names, timestamp
from tidewire_client.keys import Key, key_of, moment_of


class AuditAction(Enum):
    """What was done to a key."""

    UNKNOWN = "unknown"
    CREATED = "created"
    UPDATED = "updated"
    DISABLED = "disabled"
    ENABLED = "enabled"
    REVOKED = "revoked"
    ROTATED = "rotated"
    DELETED = "deleted"


_NUMBERS: Final[Mapping[AuditAction, Any]] = {
    action: admin_pb2.AuditAction.Value(f"AUDIT_ACTION_{action.name}")
    for action in AuditAction
    if action is not AuditAction.UNKNOWN
}
_ACTIONS: Final[Mapping[int, AuditAction]] = {number: action for action, number in _NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change of a key; never holds a secret.

    Attributes:
        revision: The store's revision of the change; entries are in its order.
        time: In UTC.
        actor: Who: `service-token`, `key:<key id>`, `certificate:<name>`, or `system`.
        action: What was done.
        key_id: To which key.
        reason: Why, as whoever did it put it; may be empty.
        before: The key before; None for one that was made.
        after: The key after; None for one that was removed.
    """

    revision: int
    time: datetime
    actor: str
    action: AuditAction
    key_id: str
    reason: str
    before: Key | None
    after: Key | None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first; the token of the next page; empty: this was the last."""

    entries: tuple[AuditEntry, ...]
    next_page_token: str


class AuditFilters(TypedDict, total=False):
    """Which entries to list: those that fit all that is given.

    Attributes:
        key_id: Only changes of this key; empty: of all.
        actor: Only changes made by this actor; empty: by all.
        actions: Only changes of these kinds; empty: of all.
        start_time: Only changes from this moment (with time zone) on; None: from the beginning.
        end_time: Only changes before this moment (with time zone); None: until now.
    """

    key_id: str
    actor: str
    actions: Sequence[AuditAction]
    start_time: datetime | None
    end_time: datetime | None


def audit_request(page_size: int, page_token: str, filters: AuditFilters) -> Any:
    """Return the request for a page of entries.

    Raises:
        ValueError: A moment has no time zone, or an action is none to ask for.
        TypeError: There is no such filter.
    """
    check_names(filters, AuditFilters)
    actions = filters.get("actions", ())
    if AuditAction.UNKNOWN in actions:
        raise ValueError("entries cannot be asked for by an action that is not known")
    return admin_pb2.ListAuditEntriesRequest(
        page_size=page_size,
        page_token=page_token,
        key_id=filters.get("key_id", ""),
        actor=filters.get("actor", ""),
        actions=[_NUMBERS[action] for action in actions],
        start_time=timestamp("start_time", filters.get("start_time")),
        end_time=timestamp("end_time", filters.get("end_time")),
    )


def entry_of(entry: admin_pb2.AuditEntry) -> AuditEntry:
    """Return an entry."""
    return AuditEntry(
        revision=entry.revision,
        time=moment_of(entry.time),
        actor=entry.actor,
        action=_ACTIONS.get(entry.action, AuditAction.UNKNOWN),
        key_id=entry.key_id,
        reason=entry.reason,
        before=key_of(entry.before) if entry.HasField("before") else None,
        after=key_of(entry.after) if entry.HasField("after") else None,
    )
