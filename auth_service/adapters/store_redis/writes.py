"""What the scripts that make, change and remove keys are told of one key."""

from dataclasses import dataclass

from auth_service.adapters.record_json import entry_to_text
from auth_service.adapters.redis_access.calls import stamp
from auth_service.adapters.redis_access.master import Words
from auth_service.adapters.store_redis.records import from_value, to_body
from auth_service.core.audit import AuditEntry, entry_of_change
from auth_service.core.keys import KeyRecord
from auth_service.core.verification import VerdictCode, standing


@dataclass(frozen=True, slots=True)
class Put:
    """A record to be stored by `put.lua`.

    Args:
        before: the record that was read; None: there is none.
        value: that record as it was read; empty: there is none.
        after: what it shall be.
    """

    before: KeyRecord | None
    value: bytes
    after: KeyRecord

    @property
    def owners(self) -> tuple[str, str]:
        """The owner before and after."""
        return (self.before or self.after).owner, self.after.owner

    def arguments(self, actor: str) -> list[Words]:
        """Return what the script is told of it."""
        before, after = self.before, self.after
        code = standing(after, after.update_ms)
        return [
            after.key_id,
            self.value,
            to_body(after),
            code.value,
            stamp(),
            _expiry_to_log(before, after, code),
            int(after.development),
            before.pepper_version if before else "",
            after.pepper_version,
            entry_to_text(entry_of_change(before, after, actor)),
        ]


def removal_arguments(value: bytes, entry: AuditEntry) -> list[Words]:
    """Return what `remove.lua` is told of a key.

    Args:
        value: the record as it was read.
        entry: for the audit log.
    """
    record = from_value(value)
    code = VerdictCode.NOT_FOUND.value
    return [record.key_id, value, code, stamp(), record.pepper_version, entry_to_text(entry)]


def _expiry_to_log(before: KeyRecord | None, after: KeyRecord, code: VerdictCode) -> str | int:
    """Return what `put.lua` shall do: log the expiry at this time, keep what is planned, or nothing."""
    if after.expire_ms is None or code is VerdictCode.EXPIRED:
        return ""  # an expiry that this very change tells of is not to be told again
    return "keep" if before is not None and before.expire_ms == after.expire_ms else after.expire_ms
