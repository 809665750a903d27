"""Making keys and changing their state."""

import secrets
from dataclasses import replace

import pytest

from auth_service.core.administration import Administration
from auth_service.core.audit import AuditAction, AuditFilter
from auth_service.core.errors import (
    AlreadyBootstrappedError,
    EtagMismatchError,
    InvalidFieldError,
    KeyNotFoundError,
    KeyRevokedError,
)
from auth_service.core.key_format import parse
from auth_service.core.key_update import etag_of
from auth_service.core.keys import KeyLimits, KeyState
from auth_service.core.listing import KeyFilter
from auth_service.core.validation import KeyRequest
from tests.unit.auth_service.fakes import NOW_MS, PEPPERS, FakeClock, MemoryKeyStore, a_record

ACTOR = "service-token"
REQUEST = KeyRequest("team", "a name", ["join:*"], ["d"], ["w"], KeyLimits(max_channels=3), NOW_MS + 1000, "test")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def administration(clock: FakeClock) -> Administration:
    return Administration(MemoryKeyStore(), PEPPERS, clock, secrets.randbelow)


async def test_a_new_key_is_stored_without_its_secret(administration: Administration) -> None:
    record, text = await administration.create(REQUEST, ACTOR)
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
        await administration.create(KeyRequest("", "", ["join:*"], [], [], KeyLimits(), None, ""), ACTOR)
    assert not (await administration.list_keys(0, "", KeyFilter())).rows


async def test_the_first_admin_key_is_made_once(administration: Administration) -> None:
    record, text = await administration.create_first()
    assert record.permissions.texts == ("*:*",)
    assert parse(text).environment == "live"
    with pytest.raises(AlreadyBootstrappedError):
        await administration.create_first()


async def test_state_changes(administration: Administration, clock: FakeClock) -> None:
    record, _ = await administration.create(REQUEST, ACTOR)
    clock.now_ms += 5
    disabled = await administration.set_state(record.key_id, KeyState.DISABLED, "leaked", ACTOR)
    assert (disabled.state, disabled.state_reason, disabled.update_ms) == (KeyState.DISABLED, "leaked", NOW_MS + 5)
    clock.now_ms += 5
    again = await administration.set_state(record.key_id, KeyState.DISABLED, "other", ACTOR)
    assert again == disabled
    enabled = await administration.set_state(record.key_id, KeyState.ACTIVE, "", ACTOR)
    assert (enabled.state, enabled.state_reason) == (KeyState.ACTIVE, "")
    await administration.set_state(record.key_id, KeyState.REVOKED, "gone", ACTOR)
    with pytest.raises(KeyRevokedError):
        await administration.set_state(record.key_id, KeyState.ACTIVE, "", ACTOR)


async def test_a_key_that_is_not_there(administration: Administration) -> None:
    with pytest.raises(KeyNotFoundError):
        await administration.get("nobody")
    with pytest.raises(KeyNotFoundError):
        await administration.set_state("nobody", KeyState.REVOKED, "", ACTOR)
    with pytest.raises(InvalidFieldError):
        await administration.get("")


async def test_pages(administration: Administration) -> None:
    made = [(await administration.create(REQUEST, ACTOR))[0] for _ in range(3)]
    first = await administration.list_keys(2, "", KeyFilter(owner="team"))
    assert list(first.rows) == made[:2]
    rest = await administration.list_keys(2, str(first.next_token), KeyFilter(owner="team"))
    assert (list(rest.rows), rest.next_token) == (made[2:], None)
    assert not (await administration.list_keys(2, "", KeyFilter(owner="nobody"))).rows


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (KeyFilter(owner="o" * 129), "owner"),
        (KeyFilter(environment="moon"), "environment"),
        (KeyFilter(name_contains="n" * 129), "name_contains"),
    ],
)
async def test_a_filter_that_no_key_could_fit_is_refused(
    administration: Administration, asked: KeyFilter, field: str
) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        await administration.list_keys(2, "", asked)
    assert refused.value.field == field


async def test_an_update_by_mask(administration: Administration, clock: FakeClock) -> None:
    record, _ = await administration.create(REQUEST, ACTOR)
    clock.now_ms += 7
    wanted = replace(REQUEST, name="other", expire_ms=None, owner="left alone")
    after = await administration.update(record.key_id, ["name", "expire_time"], wanted, etag_of(record), ACTOR)
    assert after == replace(record, name="other", expire_ms=None, update_ms=NOW_MS + 7, revision=2)
    with pytest.raises(EtagMismatchError):
        await administration.update(record.key_id, ["name"], REQUEST, etag_of(record), ACTOR)


async def test_a_key_is_rotated(administration: Administration, clock: FakeClock) -> None:
    record, text = await administration.create(REQUEST, ACTOR)
    clock.now_ms += 100
    old, new, new_text = await administration.rotate(record.key_id, 500, None, ACTOR)
    assert (old.expire_ms, old.replaced_by) == (NOW_MS + 600, new.key_id)
    assert PEPPERS.matches(new, parse(new_text).secret)
    assert parse(new_text).environment == "test"
    assert new_text != text
    assert await administration.get(new.key_id) == new
    for grace_ms in (None, -1, 367 * 86_400_000):
        with pytest.raises(InvalidFieldError) as refused:
            await administration.rotate(new.key_id, grace_ms, None, ACTOR)
        assert refused.value.field == "grace"
    with pytest.raises(InvalidFieldError):
        await administration.rotate(new.key_id, 0, NOW_MS, ACTOR)


async def test_a_development_key_is_followed_by_an_ordinary_one(clock: FakeClock) -> None:
    store = MemoryKeyStore()
    administration = Administration(store, PEPPERS, clock, secrets.randbelow)
    await store.create(a_record("dev_key", environment="development", development=True))
    _, new, text = await administration.rotate("dev_key", 0, None, ACTOR)
    assert (new.environment, new.development) == ("live", False)
    assert parse(text).key_id == new.key_id


async def test_pages_of_the_audit_log_of_one_key_are_full(administration: Administration) -> None:
    record, _ = await administration.create(REQUEST, ACTOR)
    for _ in range(3):
        await administration.set_state(record.key_id, KeyState.DISABLED, "", ACTOR)
        await administration.create(REQUEST, ACTOR)
        await administration.set_state(record.key_id, KeyState.ACTIVE, "", ACTOR)
    asked, token, sizes = AuditFilter(key_id=record.key_id), "", []
    while True:
        page = await administration.audit_entries(2, token, asked)
        assert {entry.key_id for entry in page.rows} == {record.key_id}
        sizes.append(len(page.rows))
        if page.next_token is None:
            break
        token = str(page.next_token)
    assert sizes == [2, 2, 2, 1]
    # A page that ends with the last entry is the last.
    assert (await administration.audit_entries(7, "", asked)).next_token is None


async def test_a_deleted_key_is_gone_and_the_audit_log_keeps_it(administration: Administration) -> None:
    record, _ = await administration.create(REQUEST, ACTOR)
    await administration.delete(record.key_id, "no longer needed", "key:boss")
    with pytest.raises(KeyNotFoundError):
        await administration.get(record.key_id)
    page = await administration.audit_entries(0, "", AuditFilter(key_id=record.key_id))
    assert [(entry.action, entry.actor, entry.reason) for entry in page.rows] == [
        (AuditAction.DELETED, "key:boss", "no longer needed"),
        (AuditAction.CREATED, ACTOR, ""),
    ]


async def test_pages_of_the_audit_log(administration: Administration) -> None:
    for _ in range(3):
        await administration.create(REQUEST, ACTOR)
    first = await administration.audit_entries(2, "", AuditFilter())
    assert [entry.revision for entry in first.rows] == [3, 2]
    rest = await administration.audit_entries(2, str(first.next_token), AuditFilter())
    assert ([entry.revision for entry in rest.rows], rest.next_token) == ([1], None)
    with pytest.raises(InvalidFieldError):
        await administration.audit_entries(2, "", AuditFilter(key_id="tw_live_whole_key"))
    with pytest.raises(InvalidFieldError):
        await administration.audit_entries(2, "", AuditFilter(actor="\n"))
