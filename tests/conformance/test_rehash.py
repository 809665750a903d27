"""A secret's hash moves to another pepper, and nobody notices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from auth_service.core.errors import PepperError
from auth_service.core.ports import KeyStore
from tests.conformance.key_stores import StoreBench
from tests.unit.auth_service.fakes import a_record

pytestmark = pytest.mark.integration

NEW_HASH = bytes(range(32))


async def test_only_hash_and_pepper_change(store_bench: StoreBench, store: KeyStore) -> None:
    made = await store.create(a_record("k1"))
    assert await store.get("k1") == made
    assert await store.rehash(made, NEW_HASH, 2)
    expected = replace(made, secret_hash=NEW_HASH, pepper_version=2)
    assert await store.get("k1") == expected
    assert await (await store_bench.open()).get("k1") == expected
    assert await store.revision() == made.revision
    assert len(await store.changes_since(0, 10)) == 1


async def test_what_was_rehashed_or_is_gone_since_is_left_alone(store: KeyStore) -> None:
    made = await store.create(a_record("k1"))
    assert await store.rehash(made, NEW_HASH, 2)
    assert not await store.rehash(made, bytes(32), 3)
    found = await store.get("k1")
    assert found is not None
    assert (found.secret_hash, found.pepper_version) == (NEW_HASH, 2)
    assert not await store.rehash(a_record("k2"), NEW_HASH, 2)


async def test_a_change_of_something_else_does_not_matter_and_is_kept(store: KeyStore) -> None:
    made = await store.create(a_record("k1"))
    changed = await store.update("k1", lambda record: replace(record, name="another"))
    assert await store.rehash(made, NEW_HASH, 2)
    assert await store.get("k1") == replace(changed, secret_hash=NEW_HASH, pepper_version=2)


async def test_a_pepper_is_needed_as_long_as_one_key_is_under_it(store: KeyStore) -> None:
    await store.check_peppers({1: "old", 2: "new"})
    first, second = await store.create(a_record("k1")), await store.create(a_record("k2"))
    assert await store.rehash(first, NEW_HASH, 2)
    with pytest.raises(PepperError):
        await store.check_peppers({2: "new"})
    assert await store.rehash(second, NEW_HASH, 2)
    await store.check_peppers({2: "new"})
    await store.rehash(replace(first, secret_hash=NEW_HASH, pepper_version=2), bytes(32), 2)
    with pytest.raises(PepperError):
        await store.check_peppers({1: "old"})
