"""How a key record lies in Redis: `<revision> <JSON>`, so that a script can give it a revision without reading it."""

import json
from dataclasses import asdict, fields
from typing import Any, Final

from auth_service.core.keys import KeyLimits, KeyRecord, KeyState, VerificationRate
from auth_service.core.permissions import PermissionSet

_FIELDS: Final = tuple(field.name for field in fields(KeyRecord) if field.name != "revision")


def to_body(record: KeyRecord) -> bytes:
    """Return a record as JSON, without its revision."""
    values: dict[str, Any] = {name: getattr(record, name) for name in _FIELDS}
    values["secret_hash"] = record.secret_hash.hex()
    values["permissions"] = record.permissions.texts
    values["limits"] = asdict(record.limits)
    values["state"] = record.state.value
    values["verification_rate"] = asdict(record.verification_rate) if record.verification_rate else None
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def from_value(value: bytes) -> KeyRecord:
    """Return the record of what is stored."""
    revision, _, body = value.partition(b" ")
    values = json.loads(body)
    values["secret_hash"] = bytes.fromhex(values["secret_hash"])
    values["permissions"] = PermissionSet.of(values["permissions"])
    values["allowed_domains"] = tuple(values["allowed_domains"])
    values["allowed_workspaces"] = tuple(values["allowed_workspaces"])
    values["limits"] = KeyLimits(**values["limits"])
    values["state"] = KeyState(values["state"])
    rate = values.get("verification_rate")
    values["verification_rate"] = VerificationRate(**rate) if rate else None
    return KeyRecord(**values, revision=int(revision))
