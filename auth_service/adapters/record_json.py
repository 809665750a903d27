"""A key record as JSON: in Redis, and in the audit log of both stores."""

import json
from dataclasses import asdict, fields, replace
from typing import Any, Final

from auth_service.core.audit import AuditAction, AuditEntry
from auth_service.core.keys import KeyLimits, KeyRecord, KeyState, VerificationRate
from auth_service.core.permissions import PermissionSet

_FIELDS: Final = tuple(field.name for field in fields(KeyRecord))
_SECRETS: Final = ("secret_hash", "pepper_version")


def values_of(record: KeyRecord) -> dict[str, Any]:
    """Return the fields of a record as JSON has them."""
    values: dict[str, Any] = {name: getattr(record, name) for name in _FIELDS}
    values["secret_hash"] = record.secret_hash.hex()
    values["permissions"] = record.permissions.texts
    values["limits"] = asdict(record.limits)
    values["state"] = record.state.value
    values["verification_rate"] = asdict(record.verification_rate) if record.verification_rate else None
    return values


def record_of(values: dict[str, Any]) -> KeyRecord:
    """Return the record of such fields; those that an older service did not know yet may be missing."""
    rate = values.get("verification_rate")
    return KeyRecord(
        **{
            **values,
            "secret_hash": bytes.fromhex(values["secret_hash"]),
            "permissions": PermissionSet.of(values["permissions"]),
            "allowed_domains": tuple(values["allowed_domains"]),
            "allowed_workspaces": tuple(values["allowed_workspaces"]),
            "limits": KeyLimits(**values["limits"]),
            "state": KeyState(values["state"]),
            "verification_rate": VerificationRate(**rate) if rate else None,
        }
    )


def to_text(values: dict[str, Any]) -> str:
    """Return JSON."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def shown_to_text(record: KeyRecord | None) -> str | None:
    """Return a record for the audit log: nothing of its secret, not even what was made of it."""
    if record is None:
        return None
    return to_text({name: value for name, value in values_of(record).items() if name not in _SECRETS})


def shown_from_text(text: str | None) -> KeyRecord | None:
    """Return a record of the audit log."""
    return None if text is None else record_of({**json.loads(text), "secret_hash": "", "pepper_version": 0})


def entry_to_text(entry: AuditEntry) -> str:
    """Return an entry of the audit log as JSON, without its revision."""
    return to_text(
        {
            "time_ms": entry.time_ms,
            "actor": entry.actor,
            "action": entry.action.value,
            "key_id": entry.key_id,
            "reason": entry.reason,
            "before": shown_to_text(entry.before),
            "after": shown_to_text(entry.after),
        }
    )


def entry_from_text(text: str | bytes, revision: int) -> AuditEntry:
    """Return the entry of such JSON; what the key is after a change has its revision."""
    entry = entry_of_row(revision, **json.loads(text))
    return entry if entry.after is None else replace(entry, after=replace(entry.after, revision=revision))


def entry_of_row(
    revision: int,
    time_ms: int,
    actor: str,
    action: str,
    key_id: str,
    reason: str,
    before: str | None,
    after: str | None,
) -> AuditEntry:
    """Return the entry of its columns."""
    return AuditEntry(
        time_ms=time_ms,
        actor=actor,
        action=AuditAction(action),
        key_id=key_id,
        reason=reason,
        before=shown_from_text(before),
        after=shown_from_text(after),
        revision=revision,
    )
