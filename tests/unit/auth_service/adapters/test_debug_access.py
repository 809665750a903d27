"""Who is let in at the auth service's own admin port."""

import secrets

import pytest

from auth_service.adapters.debug_access import DebugAccess
from auth_service.core.errors import StoreUnavailableError
from auth_service.core.key_format import generate
from auth_service.core.keys import KeyRecord, KeyState
from auth_service.core.permissions import PermissionSet
from auth_service.core.throttle import Throttle
from auth_service.core.verifier import Verifier
from service_runtime.debugging.admission import Refused
from tests.unit.auth_service.fakes import PEPPERS, FakeClock, MemoryKeyStore, MemoryUses, a_record


class AwayStore(MemoryKeyStore):
    async def get(self, key_id: str) -> KeyRecord | None:
        raise StoreUnavailableError("away")


def access_to(store: MemoryKeyStore) -> DebugAccess:
    verifier = Verifier(
        store,
        MemoryUses(),
        Throttle(per_minute=0, per_minute_of_address=0, size=1),
        PEPPERS,
        FakeClock(),
        ttl_ms=1000,
        seen_revision=lambda: 1,
        named_keys={},
    )
    return DebugAccess(verifier)


async def status_of(fields: dict[str, object]) -> int:
    """Return what a key with these fields is refused with; 200: it is let in."""
    store, key = MemoryKeyStore(), generate("live", secrets.randbelow)
    await store.create(a_record(key.key_id, secret_hash=PEPPERS.hash(key.secret), **fields))
    try:
        assert await access_to(store).admit(key.text, "") == key.key_id
    except Refused as refused:
        return 0 if key.text in refused.message else refused.status
    return 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"permissions": PermissionSet.of(["admin:debug"])}, 200),
        ({"permissions": PermissionSet.of(["admin:*"])}, 200),
        ({"permissions": PermissionSet.of(["join:*", "admin:verify"])}, 403),
        ({"allowed_domains": ("a",)}, 403),
        ({"allowed_workspaces": ("a",)}, 403),
        ({"state": KeyState.REVOKED}, 401),
    ],
)
async def test_a_key_is_judged_by_itself(fields: dict[str, object], status: int) -> None:
    assert await status_of(fields) == status


async def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        await access_to(MemoryKeyStore()).admit("anything", "")
    assert refused.value.status == 401


async def test_without_a_store_nobody_can_say() -> None:
    with pytest.raises(Refused, match="key store") as refused:
        await access_to(AwayStore()).admit(generate("live", secrets.randbelow).text, "")
    assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
