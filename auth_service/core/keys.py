"""A stored key, its states, and the changes that an administrator may make.

All times are whole milliseconds of the Unix clock, UTC. A key is good strictly before `expire_ms` and refused at it.

    ACTIVE ⇄ DISABLED        disable, enable
    ACTIVE, DISABLED → REVOKED   revoke; nothing leads back
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from auth_service.core.errors import KeyRevokedError
from auth_service.core.permissions import PermissionSet


class KeyState(Enum):
    """What the administrator decided; expiry is read off the clock and is no state."""

    ACTIVE = "active"
    DISABLED = "disabled"
    REVOKED = "revoked"


# From each state, the states that a change may lead to. A change to the same state is no change.
TRANSITIONS: Final = {
    KeyState.ACTIVE: frozenset({KeyState.DISABLED, KeyState.REVOKED}),
    KeyState.DISABLED: frozenset({KeyState.ACTIVE, KeyState.REVOKED}),
    KeyState.REVOKED: frozenset[KeyState](),
}


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Limits of the holder; 0 means the default of the service that enforces it (`auth/v1/keys.proto`)."""

    frames_per_second: int = 0
    frames_burst: int = 0
    bytes_per_second: int = 0
    max_channels: int = 0
    max_connections: int = 0
    key_frames_per_second: int = 0
    key_bytes_per_second: int = 0


@dataclass(frozen=True, slots=True)
class VerificationRate:
    """How often a key may be verified, on all auth services together: so many in a period, also all at once."""

    verifications: int
    period_ms: int


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """All that is stored of a key. The secret itself is nowhere.

    `own_expire_ms` is what `expire_ms` would be had the key not been rotated; it means nothing while it was not.
    """

    key_id: str
    secret_hash: bytes = field(repr=False)
    pepper_version: int
    environment: str
    prefix: str
    owner: str
    name: str
    permissions: PermissionSet
    allowed_domains: tuple[str, ...]
    allowed_workspaces: tuple[str, ...]
    limits: KeyLimits
    create_ms: int
    update_ms: int
    expire_ms: int | None = None
    state: KeyState = KeyState.ACTIVE
    state_reason: str = ""
    development: bool = False
    verification_rate: VerificationRate | None = None
    max_uses: int = 0
    replaced_by: str = ""
    replaces: str = ""
    own_expire_ms: int | None = None
    revision: int = 0

    @property
    def charged(self) -> bool:
        """Whether each verification has to be counted."""
        return self.max_uses > 0 or self.verification_rate is not None

    def expired(self, now_ms: int) -> bool:
        """Return whether the key's time is over."""
        return self.expire_ms is not None and now_ms >= self.expire_ms


def same_hash(record: KeyRecord, other: KeyRecord) -> bool:
    """Return whether two records hold the same hash of a secret, under the same pepper."""
    return (record.secret_hash, record.pepper_version) == (other.secret_hash, other.pepper_version)


def change_state(record: KeyRecord, state: KeyState, reason: str, now_ms: int) -> KeyRecord:
    """Return the record after a change of state; the same record if it is in that state already.

    Raises:
        KeyRevokedError: the key is revoked.
    """
    if record.state is state:
        return record
    if state not in TRANSITIONS[record.state]:
        raise KeyRevokedError(record.key_id)
    return replace(record, state=state, state_reason=reason, update_ms=max(now_ms, record.update_ms))
