"""Changes of a key's fields by a mask, and its rotation: a record in, the records after it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from auth_service.core.errors import EtagMismatchError, InvalidFieldError, KeyNotActiveError, KeyRevokedError
from auth_service.core.hashing import Peppers
from auth_service.core.key_format import KeyText
from auth_service.core.keys import KeyLimits, KeyRecord, KeyState
from auth_service.core.validation import CLEANERS, KeyRequest

_LIMITS: Final = "limits"
_LIMIT_PATHS: Final = {f"{_LIMITS}.{field.name}": field.name for field in fields(KeyLimits)}
# A path of the mask, and the field of the record that it is.
_RECORD_FIELDS: Final = {
    "name": "name",
    "owner": "owner",
    "permissions": "permissions",
    "allowed_domains": "allowed_domains",
    "allowed_workspaces": "allowed_workspaces",
    _LIMITS: _LIMITS,
    "expire_time": "expire_ms",
    "verification_rate": "verification_rate",
    "max_uses": "max_uses",
}
UPDATABLE: Final = (*_RECORD_FIELDS, *_LIMIT_PATHS)


def etag_of(record: KeyRecord) -> str:
    """Return what names this version of a key; opaque to callers."""
    return f"{record.revision:x}"


@dataclass(frozen=True, slots=True)
class KeyPatch:
    """Changes of a key, every value within its bounds.

    Args:
        values: of fields of the record.
        limits: of single limits.
        etag: that the key must have; empty: any.
    """

    values: Mapping[str, Any]
    limits: Mapping[str, int]
    etag: str

    def applied(self, record: KeyRecord, now_ms: int) -> KeyRecord:
        """Return the record after the changes; the same record if they change nothing.

        Raises:
            EtagMismatchError: the key is not the version that the caller saw.
            KeyRevokedError: the key is revoked.
        """
        if self.etag and self.etag != etag_of(record):
            raise EtagMismatchError(record.key_id)
        if record.state is KeyState.REVOKED:
            raise KeyRevokedError(record.key_id)
        after = replace(record, **self.values)
        after = replace(after, limits=replace(after.limits, **self.limits))
        if after.expire_ms != record.expire_ms:
            # Whoever sets the expiry of a key that was rotated means this one, and no longer the end of its grace.
            after = replace(after, own_expire_ms=after.expire_ms if record.replaced_by else None)
        return record if after == record else replace(after, update_ms=max(now_ms, record.update_ms))


def clean_patch(paths: Sequence[str], request: KeyRequest, etag: str, now_ms: int) -> KeyPatch:
    """Check the fields that a mask names.

    Args:
        paths: of the mask.
        request: the new values; what the mask does not name is not looked at.
        etag: that the key must have; empty: any.
        now_ms: the present moment, Unix milliseconds.

    Raises:
        InvalidFieldError: the mask is empty or names what cannot be changed, or a value breaks a rule.
    """
    if not paths:
        raise InvalidFieldError("update_mask", f"must name at least one of {', '.join(_RECORD_FIELDS)}")
    values: dict[str, Any] = {}
    limits: dict[str, int] = {}
    for path in paths:
        if path not in UPDATABLE:
            raise InvalidFieldError("update_mask", f"may name only {', '.join(UPDATABLE)}")
        clean = CLEANERS[path.partition(".")[0]](request, now_ms)
        if path in _LIMIT_PATHS:
            limits[_LIMIT_PATHS[path]] = getattr(clean, _LIMIT_PATHS[path])
        else:
            values[_RECORD_FIELDS[path]] = clean
    return KeyPatch(values, limits, etag)


@dataclass(frozen=True, slots=True)
class Rotation:
    """How a key is rotated.

    Args:
        text: the new key.
        peppers: what its secret is hashed under.
        grace_ms: how long the old key stays good.
        expire_ms: the expiry of the new key, Unix milliseconds; None: that of the old one before it was ever rotated.
        now_ms: the present moment, Unix milliseconds.
    """

    text: KeyText
    peppers: Peppers
    grace_ms: int
    expire_ms: int | None
    now_ms: int

    def applied(self, record: KeyRecord) -> tuple[KeyRecord, KeyRecord]:
        """Return the old key as it is to be, and the new one.

        Raises:
            KeyRevokedError: the key is revoked.
            KeyNotActiveError: it is disabled or expired.
        """
        if record.state is KeyState.REVOKED:
            raise KeyRevokedError(record.key_id)
        if record.state is KeyState.DISABLED or record.expired(self.now_ms):
            state = "disabled" if record.state is KeyState.DISABLED else "expired"
            raise KeyNotActiveError(record.key_id, state)
        end_ms = self.now_ms + self.grace_ms
        own_ms = record.own_expire_ms if record.replaced_by else record.expire_ms
        old = replace(
            record,
            expire_ms=end_ms if record.expire_ms is None else min(end_ms, record.expire_ms),
            own_expire_ms=own_ms,
            replaced_by=self.text.key_id,
            update_ms=max(self.now_ms, record.update_ms),
        )
        new = replace(
            record,
            key_id=self.text.key_id,
            secret_hash=self.peppers.hash(self.text.secret),
            pepper_version=self.peppers.current,
            environment=self.text.environment,
            prefix=self.text.prefix,
            create_ms=self.now_ms,
            update_ms=self.now_ms,
            expire_ms=own_ms if self.expire_ms is None else self.expire_ms,
            own_expire_ms=None,
            development=False,
            replaced_by="",
            replaces=record.key_id,
            revision=0,
        )
        return old, new
