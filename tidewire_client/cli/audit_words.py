"""An entry of the audit log for people and for programs."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from tidewire_client.audit import AuditAction, AuditEntry
from tidewire_client.cli.key_words import key_record, moment_words, rfc3339
from tidewire_client.keys import Key

ENTRY_COLUMNS: Final = ("TIME", "ACTION", "KEY ID", "ACTOR", "CHANGED", "REASON")
# They change with every change, or are said by the action and the reason.
_NOT_SHOWN: Final = frozenset({"update_time", "revision", "etag", "use_count", "state", "state_reason"})


def entry_record(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry for programs; times are RFC 3339 in UTC."""
    return {
        "revision": entry.revision,
        "time": rfc3339(entry.time),
        "actor": entry.actor,
        "action": entry.action.value,
        "key_id": entry.key_id,
        "reason": entry.reason,
        "changed": changed_fields(entry),
        "before": None if entry.before is None else key_record(entry.before, entry.time),
        "after": None if entry.after is None else key_record(entry.after, entry.time),
    }


def entry_row(entry: AuditEntry) -> list[str]:
    """Return an entry as a row of the list."""
    return [
        moment_words(entry.time),
        entry.action.value,
        entry.key_id,
        entry.actor,
        " ".join(changed_fields(entry)) or "-",
        entry.reason or "-",
    ]


def changed_fields(entry: AuditEntry) -> list[str]:
    """Return the names of the fields that the change gave other values."""
    if entry.before is None or entry.after is None or entry.action is AuditAction.CREATED:
        return []
    names = [field.name for field in fields(Key) if field.name not in _NOT_SHOWN]
    return [name for name in names if getattr(entry.before, name) != getattr(entry.after, name)]
