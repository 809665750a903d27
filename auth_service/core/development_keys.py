"""Keys that development mode knows by name, as the testing guide has them. Production mode never sees this table."""

from dataclasses import replace
from typing import Final

from auth_service.core.hashing import Peppers
from auth_service.core.keys import KeyLimits, KeyRecord
from auth_service.core.permissions import PermissionSet

DEVELOPMENT_OWNER: Final = "development"
# The text that a client sends, and the id of the record that stands for it.
DEVELOPMENT_KEY_IDS: Final = {
    "development": "dev_development",
    "valid-test-key": "dev_valid_test_key",
    "expired-test-key": "dev_expired_test_key",
}
_EXPIRED: Final = frozenset({"expired-test-key"})
# 2020-01-01
_EXPIRE_MS: Final = 1_577_836_800_000
PREFIX_CHARS: Final = 3


def development_records(peppers: Peppers, now_ms: int) -> list[KeyRecord]:
    """Return the records of the development keys: active, with every permission, `expired-test-key` expired."""
    return [
        KeyRecord(
            key_id=key_id,
            secret_hash=peppers.hash(name),
            pepper_version=peppers.current,
            environment="development",
            prefix=name[:PREFIX_CHARS],
            owner=DEVELOPMENT_OWNER,
            name=key_id,
            permissions=PermissionSet.of(["*:*"]),
            allowed_domains=(),
            allowed_workspaces=(),
            limits=KeyLimits(),
            create_ms=now_ms,
            update_ms=now_ms,
            expire_ms=_EXPIRE_MS if name in _EXPIRED else None,
            development=True,
        )
        for name, key_id in DEVELOPMENT_KEY_IDS.items()
    ]


def restored(fresh: KeyRecord, stored: KeyRecord) -> KeyRecord:
    """Return a stored development key as it is to be after a restart: active again; the same record if it is."""
    same = replace(fresh, create_ms=stored.create_ms, update_ms=stored.update_ms, revision=stored.revision)
    return stored if same == stored else replace(fresh, create_ms=stored.create_ms)
