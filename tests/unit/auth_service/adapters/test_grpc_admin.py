"""The RPCs of administration, where the store fails half-way."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tidewire.auth.v1 import admin_pb2

from auth_service.adapters.grpc_api.admin import KeyAdminServicer
from auth_service.adapters.grpc_api.caller import SERVICE, Caller
from auth_service.core.administration import Administration
from auth_service.core.key_format import parse
from tests.unit.auth_service.fakes import PEPPERS, FakeClock, MemoryKeyStore, MemoryUses, a_record


class Everyone:
    """Lets everybody in."""

    async def admit(self, context: Any, group: Any) -> Caller:
        return SERVICE


class Hub:
    """Counts how often it was woken."""

    wakes = 0

    def wake(self) -> None:
        self.wakes += 1


@pytest.mark.parametrize("fails", [False, True])
async def test_the_only_copy_of_a_secret_is_not_lost_for_a_count_of_uses(fails: bool) -> None:
    store, uses, hub = MemoryKeyStore(), MemoryUses(), Hub()
    record = await store.create(a_record(max_uses=5))
    await uses.charge([record], 0)
    uses.fails = fails
    administration = Administration(store, PEPPERS, FakeClock(), secrets.randbelow)
    servicer = KeyAdminServicer(Everyone(), administration, uses, hub)  # type: ignore[arg-type]
    request = admin_pb2.RotateKeyRequest(key_id="k1")
    request.grace.FromSeconds(60)
    context: Any = None
    answer = await servicer.RotateKey(request, context)
    assert PEPPERS.matches(await store.get(answer.key.key_id), parse(answer.api_key).secret)
    assert (answer.replaced.replaced_by, answer.replaced.use_count) == (answer.key.key_id, 0 if fails else 1)
    assert hub.wakes == 1


async def test_what_was_used_is_shown_also_when_the_bound_is_gone() -> None:
    store, uses = MemoryKeyStore(), MemoryUses()
    record = await store.create(a_record(max_uses=5))
    await uses.charge([record, record], 0)
    administration = Administration(store, PEPPERS, FakeClock(), secrets.randbelow)
    servicer = KeyAdminServicer(Everyone(), administration, uses, Hub())  # type: ignore[arg-type]
    context: Any = None
    request = admin_pb2.UpdateKeyRequest()
    request.key.key_id = "k1"
    request.update_mask.paths.append("max_uses")
    assert (await servicer.UpdateKey(request, context)).key.use_count == 2
    listed = await servicer.ListKeys(admin_pb2.ListKeysRequest(), context)
    assert [(key.max_uses, key.use_count) for key in listed.keys] == [(0, 2)]
