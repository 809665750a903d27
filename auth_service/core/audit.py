"""The audit log: who did what to which key, when and why, with the key before and after.

An entry is made of the two records alone, so that none can be told wrong. It never holds a secret or anything made of one.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from auth_service.core.keys import KeyRecord, KeyState

# Who does what the service does by itself: the development keys, the first admin key.
SYSTEM: Final = "system"
_NO_HASH: Final = b""


class AuditAction(Enum):
    """What was done to a key (`auth/v1/admin.proto`, `AuditAction`)."""

    CREATED = "created"
    UPDATED = "updated"
    DISABLED = "disabled"
    ENABLED = "enabled"
    REVOKED = "revoked"
    ROTATED = "rotated"
    DELETED = "deleted"


ACTION_OF_STATE: Final = {
    KeyState.ACTIVE: AuditAction.ENABLED,
    KeyState.DISABLED: AuditAction.DISABLED,
    KeyState.REVOKED: AuditAction.REVOKED,
}


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change of a key; `revision` is the store's, and the order of entries."""

    time_ms: int
    actor: str
    action: AuditAction
    key_id: str
    reason: str
    before: KeyRecord | None
    after: KeyRecord | None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are asked for; what is empty or None filters nothing.

    Args:
        key_id: changes of this key.
        actor: changes made by this actor.
        actions: changes of these kinds.
        start_ms: changes from this moment on, Unix milliseconds.
        end_ms: changes before this moment, Unix milliseconds.
    """

    key_id: str = ""
    actor: str = ""
    actions: Collection[AuditAction] = ()
    start_ms: int | None = None
    end_ms: int | None = None

    @property
    def sifts(self) -> bool:
        """Whether more is asked than which key: the store finds entries by that alone."""
        return self != AuditFilter(key_id=self.key_id)

    def matches(self, entry: AuditEntry) -> bool:
        """Return whether an entry is asked for."""
        return (
            self.key_id in ("", entry.key_id)
            and self.actor in ("", entry.actor)
            and (not self.actions or entry.action in self.actions)
            and (self.start_ms is None or entry.time_ms >= self.start_ms)
            and (self.end_ms is None or entry.time_ms < self.end_ms)
        )


def entry_of_change(before: KeyRecord | None, after: KeyRecord, actor: str) -> AuditEntry:
    """Return the entry for a key that was made (`before` is None) or changed."""
    action = _action(before, after)
    told_in_state = before is not None and before.state is not after.state
    return AuditEntry(
        time_ms=after.update_ms,
        actor=actor,
        action=action,
        key_id=after.key_id,
        reason=after.state_reason if told_in_state else "",
        before=_shown(before),
        after=_shown(after),
        revision=after.revision,
    )


def entry_of_removal(before: KeyRecord, actor: str, reason: str, now_ms: int) -> AuditEntry:
    """Return the entry for a key that was removed."""
    return AuditEntry(now_ms, actor, AuditAction.DELETED, before.key_id, reason, _shown(before), None)


def _action(before: KeyRecord | None, after: KeyRecord) -> AuditAction:
    if before is None:
        return AuditAction.CREATED
    if before.state is not after.state:
        return ACTION_OF_STATE[after.state]
    rotated = after.replaced_by not in ("", before.replaced_by)
    return AuditAction.ROTATED if rotated else AuditAction.UPDATED


def _shown(record: KeyRecord | None) -> KeyRecord | None:
    return None if record is None else replace(record, secret_hash=_NO_HASH, pepper_version=0)
