"""An API key as administrators see it, as a value that knows nothing of protobuf."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from tidewire.auth.v1 import keys_pb2

from tidewire_client.verdict import KeyLimits, limits_of


class KeyState(Enum):
    """What an administrator decided of a key; expiry is no state, see `Key.expire_time`."""

    UNKNOWN = "unknown"
    ACTIVE = "active"
    DISABLED = "disabled"
    REVOKED = "revoked"


_STATES: Final = {
    keys_pb2.KEY_STATE_ACTIVE: KeyState.ACTIVE,
    keys_pb2.KEY_STATE_DISABLED: KeyState.DISABLED,
    keys_pb2.KEY_STATE_REVOKED: KeyState.REVOKED,
}
STATE_NUMBERS: Final = {state: number for number, state in _STATES.items()}


@dataclass(frozen=True, slots=True)
class VerificationRate:
    """How often a key may be verified, on all auth services together.

    Attributes:
        verifications: In a period, which may also come all at once: 1 to 1,000,000.
        period: 1 second to 31 days, in whole milliseconds.
    """

    verifications: int
    period: timedelta


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, all but the secret.

    Attributes:
        key_id: Its public part: safe in logs.
        owner: Who answers for it.
        name: For people.
        environment: `live` or `test`.
        prefix: The first characters of the key, for recognising it.
        permissions: Each `action:channel pattern`.
        allowed_domains: Where it may be used; empty: everywhere.
        allowed_workspaces: Where it may be used; empty: everywhere.
        limits: Of its holder.
        state: What the administrator decided.
        state_reason: Why.
        create_time: In UTC.
        update_time: In UTC.
        expire_time: From this moment on (UTC) it is refused; None: never.
        revision: The store's revision of its last change.
        etag: Names this version of the key, for changes that must not overwrite another one.
        verification_rate: How often it may be verified; None: as often as its holder likes.
        max_uses: Verifications that it is good for in all; 0: without end.
        use_count: Verifications that were charged since a bound was first set.
        replaced_by: The id of the key that took its place; empty: none.
        replaces: The id of the key whose place it took; empty: none.
    """

    key_id: str
    owner: str
    name: str
    environment: str
    prefix: str
    permissions: tuple[str, ...]
    allowed_domains: tuple[str, ...]
    allowed_workspaces: tuple[str, ...]
    limits: KeyLimits
    state: KeyState
    state_reason: str
    create_time: datetime
    update_time: datetime
    expire_time: datetime | None
    revision: int
    etag: str = ""
    verification_rate: VerificationRate | None = None
    max_uses: int = 0
    use_count: int = 0
    replaced_by: str = ""
    replaces: str = ""

    def usable(self, now: datetime) -> bool:
        """Say if it is accepted at a moment (with time zone): active, and strictly before its expiry."""
        return self.state is KeyState.ACTIVE and (self.expire_time is None or now < self.expire_time)


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A key that was just made; `api_key`, the whole key, is there this once and not in the `repr`."""

    key: Key
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RotatedKey:
    """A key that took another one's place.

    Attributes:
        key: The new one.
        api_key: The whole new key: there this once, and not in the `repr`.
        replaced: The old one; its `expire_time` is the end of its grace.
    """

    key: Key
    api_key: str = field(repr=False)
    replaced: Key


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Keys, oldest first; the token of the next page; empty: this was the last."""

    keys: tuple[Key, ...]
    next_page_token: str


def key_of(key: keys_pb2.Key) -> Key:
    """Return a key."""
    return Key(
        key_id=key.key_id,
        owner=key.owner,
        name=key.name,
        environment=key.environment,
        prefix=key.prefix,
        permissions=tuple(key.permissions),
        allowed_domains=tuple(key.allowed_domains),
        allowed_workspaces=tuple(key.allowed_workspaces),
        limits=limits_of(key.limits),
        state=_STATES.get(key.state, KeyState.UNKNOWN),
        state_reason=key.state_reason,
        create_time=moment_of(key.create_time),
        update_time=moment_of(key.update_time),
        expire_time=moment_of(key.expire_time) if key.HasField("expire_time") else None,
        revision=key.revision,
        etag=key.etag,
        verification_rate=_rate_of(key.verification_rate) if key.HasField("verification_rate") else None,
        max_uses=key.max_uses,
        use_count=key.use_count,
        replaced_by=key.replaced_by,
        replaces=key.replaces,
    )


def moment_of(timestamp: Timestamp) -> datetime:
    """Return a moment in UTC."""
    return timestamp.ToDatetime(tzinfo=UTC)


def _rate_of(rate: keys_pb2.VerificationRate) -> VerificationRate:
    return VerificationRate(rate.verifications, rate.period.ToTimedelta())
