"""Making keys and changing their state."""

import secrets

import pytest

from auth_service.core.administration import Administration
from auth_service.core.errors import AlreadyBootstrappedError, InvalidFieldError, KeyNotFoundError, KeyRevokedError
from auth_service.core.key_format import parse
from auth_service.core.keys import KeyLimits, KeyState
from auth_service.core.validation import KeyRequest
from tests.unit.auth_service.fakes import NOW_MS, PEPPERS, FakeClock, MemoryKeyStore

REQUEST = KeyRequest("team", "a name", ["join:*"], ["d"], ["w"], KeyLimits(max_channels=3), NOW_MS + 1000, "test")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def administration(clock: FakeClock) -> Administration:
    return Administration(MemoryKeyStore(), PEPPERS, clock, secrets.randbelow)


async def test_a_new_key_is_stored_without_its_secret(administration: Administration) -> None:
    record, text = await administration.create(REQUEST)
    key = parse(text)
    assert (record.key_id, record.prefix, record.environment) == (key.key_id, key.prefix, "test")
    assert PEPPERS.matches(record, key.secret)
    assert key.secret not in repr(record)
    assert (record.owner, record.name, record.permissions.texts) == ("team", "a name", ("join:*",))
    assert (record.allowed_domains, record.allowed_workspaces) == (("d",), ("w",))
    assert (record.limits, record.expire_ms) == (REQUEST.limits, NOW_MS + 1000)
    assert (record.create_ms, record.update_ms, record.state) == (NOW_MS, NOW_MS, KeyState.ACTIVE)
    assert record.revision == 1
    assert await administration.get(key.key_id) == record


async def test_a_bad_request_stores_nothing(administration: Administration) -> None:
    with pytest.raises(InvalidFieldError):
        await administration.create(KeyRequest("", "", ["join:*"], [], [], KeyLimits(), None, ""))
    assert not (await administration.list_keys(0, "", "")).records


async def test_the_first_admin_key_is_made_once(administration: Administration) -> None:
    record, text = await administration.create_first()
    assert record.permissions.texts == ("*:*",)
    assert parse(text).environment == "live"
    with pytest.raises(AlreadyBootstrappedError):
        await administration.create_first()


async def test_state_changes(administration: Administration, clock: FakeClock) -> None:
    record, _ = await administration.create(REQUEST)
    clock.now_ms += 5
    disabled = await administration.set_state(record.key_id, KeyState.DISABLED, "leaked")
    assert (disabled.state, disabled.state_reason, disabled.update_ms) == (KeyState.DISABLED, "leaked", NOW_MS + 5)
    clock.now_ms += 5
    again = await administration.set_state(record.key_id, KeyState.DISABLED, "other")
    assert again == disabled
    enabled = await administration.set_state(record.key_id, KeyState.ACTIVE)
    assert (enabled.state, enabled.state_reason) == (KeyState.ACTIVE, "")
    await administration.set_state(record.key_id, KeyState.REVOKED, "gone")
    with pytest.raises(KeyRevokedError):
        await administration.set_state(record.key_id, KeyState.ACTIVE)


async def test_a_key_that_is_not_there(administration: Administration) -> None:
    with pytest.raises(KeyNotFoundError):
        await administration.get("nobody")
    with pytest.raises(KeyNotFoundError):
        await administration.set_state("nobody", KeyState.REVOKED)
    with pytest.raises(InvalidFieldError):
        await administration.get("")


async def test_pages(administration: Administration) -> None:
    made = [(await administration.create(REQUEST))[0] for _ in range(3)]
    first = await administration.list_keys(2, "", "team")
    assert list(first.records) == made[:2]
    rest = await administration.list_keys(2, str(first.next_after), "team")
    assert (list(rest.records), rest.next_after) == (made[2:], None)
    assert not (await administration.list_keys(2, "", "nobody")).records
