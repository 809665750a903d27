"""Keys that development mode knows by name, as the testing guide has them. Production mode never sees this table."""

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
_HOUR_MS: Final = 3_600_000
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
            expire_ms=now_ms - _HOUR_MS if name in _EXPIRED else None,
            development=True,
        )
        for name, key_id in DEVELOPMENT_KEY_IDS.items()
    ]
