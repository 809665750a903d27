"""KeyVerifier against a real auth service that is asked much, changes keys, hangs, and crashes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.key_admin import ACTS_WITHIN_S, KeyAdmin, MadeKey
from tests.support.services import Gateway
from tests.support.waiting import DEADLINE_S, eventually
from tidewire_client import KeyChanged, KeyVerifier, ServiceTimeout, ServiceUnavailable, VerdictCode

pytestmark = pytest.mark.integration

# For an answer where none is late on purpose.
PATIENCE_S = 20.0


@asynccontextmanager
async def verifying(gateway: Gateway, **more: Any) -> AsyncIterator[KeyVerifier]:
    """A verifier that watches."""
    options = {"deadline_s": PATIENCE_S, **more}
    verifier = KeyVerifier(gateway.auth.address, service_token=gateway.service_token, **options)
    await verifier.start()
    try:
        await until(lambda: verifier.fresh, what="the watch is fresh")
        yield verifier
    finally:
        await verifier.close()


async def until(condition: Callable[[], object], deadline_s: float = DEADLINE_S, what: str = "the condition") -> None:
    async def holds() -> bool:
        return bool(condition())

    await eventually(holds, deadline_s, what)


async def code_of(verifier: KeyVerifier, key: MadeKey) -> VerdictCode:
    return (await verifier.verify(key.api_key)).code


@pytest.fixture
def admin(shared_gateway: Gateway) -> KeyAdmin:
    return shared_gateway.key_admin()


async def test_a_key_is_verified_once_however_many_ask(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    key = admin.create(["join:lobby"])
    async with verifying(shared_gateway) as verifier:
        verdicts = await asyncio.gather(*(verifier.verify(key.api_key) for _ in range(500)))
        assert all(verdict.allowed and verdict.key_id == key.key_id for verdict in verdicts)
        assert verifier.stats.calls == 1
        assert (await verifier.verify(key.api_key)).permissions == ("join:lobby",)
        assert (verifier.stats.calls, verifier.stats.hits) == (1, 1)


async def test_many_keys_share_calls(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    keys = [admin.create() for _ in range(20)]
    async with verifying(shared_gateway) as verifier:
        verdicts = await asyncio.gather(*(verifier.verify(key.api_key) for key in keys))
        assert [verdict.key_id for verdict in verdicts] == [key.key_id for key in keys]
        assert verifier.stats.calls <= 2


async def test_what_a_key_is_refused_for(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    key = admin.create(["join:lobby"], domains=["d"], workspaces=["w"])
    async with verifying(shared_gateway) as verifier:
        assert (await verifier.verify(key.api_key, domain="d", workspace="w")).allowed
        assert (await verifier.verify(key.api_key, domain="x", workspace="w")).code is VerdictCode.FORBIDDEN
        assert (await verifier.verify(key.api_key, domain="d", workspace="x")).code is VerdictCode.FORBIDDEN
        altered = MadeKey(key.key_id, key.api_key[:-1] + ("0" if key.api_key[-1] != "0" else "1"))
        assert await code_of(verifier, altered) is VerdictCode.NOT_FOUND
        for text in ("", "x", "tw_live_", "x" * 100_000, "\u00fc"):
            assert (await verifier.verify(text)).code is VerdictCode.NOT_FOUND
        assert (await verifier.check(key.key_id, "join", "lobby", "d", "w")).allowed
        missing = await verifier.check(key.key_id, "publish", "lobby", "d", "w")
        assert (missing.code, missing.missing) == (VerdictCode.INSUFFICIENT_PERMISSIONS, "publish:lobby")


async def test_every_change_acts_at_once(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    key, changes = admin.create(["join:lobby"]), list[KeyChanged]()
    async with verifying(shared_gateway, on_change=changes.append) as verifier:
        steps: list[tuple[Callable[[MadeKey], None], VerdictCode]] = [
            (admin.disable, VerdictCode.DISABLED),
            (admin.enable, VerdictCode.VALID),
            (admin.revoke, VerdictCode.REVOKED),
        ]
        for change, code in steps:
            await verifier.verify(key.api_key)
            await verifier.check(key.key_id, "join", "lobby")
            change(key)
            await until(lambda code=code: last_of(changes, key) is code, ACTS_WITHIN_S, f"{code} is told")
            assert await code_of(verifier, key) is code
            assert (await verifier.check(key.key_id, "join", "lobby")).allowed is (code is VerdictCode.VALID)


def last_of(changes: list[KeyChanged], key: MadeKey) -> VerdictCode | None:
    return next((change.code for change in reversed(changes) if change.key_id == key.key_id), None)


async def test_a_fill_never_outlives_a_revocation_that_it_races(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    """Verifications and a revocation at the same time, over and over: once it is told, no cached yes is left."""
    changes: list[KeyChanged] = []
    async with verifying(shared_gateway, on_change=changes.append) as verifier:
        for _ in range(30):
            key = admin.create()
            asked = asyncio.create_task(verifier.verify(key.api_key))
            revoked = asyncio.create_task(asyncio.to_thread(admin.revoke, key))
            while not revoked.done():
                await verifier.verify(key.api_key)
                await asyncio.sleep(0)
            await asyncio.gather(asked, revoked)
            await until(
                lambda key=key: last_of(changes, key) is VerdictCode.REVOKED, ACTS_WITHIN_S, "the revocation is told"
            )
            assert await code_of(verifier, key) is VerdictCode.REVOKED


async def test_while_auth_is_away_known_keys_go_on_and_unknown_ones_do_not(gateway: Gateway) -> None:
    admin = gateway.key_admin()
    known, unknown = admin.create(["join:lobby"]), admin.create()
    async with verifying(gateway, deadline_s=0.5, stale_after_s=1.0) as verifier:
        await verifier.verify(known.api_key)
        await verifier.check(known.key_id, "join", "lobby")
        gateway.auth.kill9()
        try:
            await until(lambda: not verifier.fresh, what="the watch is silent")
            assert await code_of(verifier, known) is VerdictCode.VALID
            assert (await verifier.check(known.key_id, "join", "lobby")).allowed
            assert verifier.stats.stale_uses == 2
            with pytest.raises(ServiceUnavailable, match="auth service cannot be reached"):
                await verifier.verify(unknown.api_key)
        finally:
            gateway.auth.start()
        await until(lambda: verifier.fresh, what="the watch is back")
        assert await code_of(verifier, unknown) is VerdictCode.VALID


async def test_when_the_grace_is_over_nobody_gets_in(gateway: Gateway) -> None:
    known = gateway.key_admin().create()
    async with verifying(gateway, deadline_s=0.3, stale_after_s=0.5, outage_grace_s=0.5) as verifier:
        await verifier.verify(known.api_key)
        gateway.auth.kill9()
        try:
            await until(lambda: verifier._watch.silent_for_s() > 1.0, what="the grace is over")
            with pytest.raises(ServiceUnavailable):
                await verifier.verify(known.api_key)
        finally:
            gateway.auth.start()


async def test_a_revocation_before_the_crash_is_known_after_it(gateway: Gateway) -> None:
    admin = gateway.key_admin()
    key = admin.create()
    async with verifying(gateway) as verifier:
        await verifier.verify(key.api_key)
        admin.revoke(key)
        gateway.auth.restart_after_kill9()
        await until(lambda: verifier.fresh and not verifier._watch.broken, what="the watch is back")

        async def refused() -> bool:
            return await code_of(verifier, key) is VerdictCode.REVOKED

        await eventually(refused, what="the revoked key is refused")


async def test_a_hung_auth_service_is_noticed_and_let_go(gateway: Gateway) -> None:
    admin = gateway.key_admin()
    known, unknown = admin.create(), admin.create()
    async with verifying(gateway, deadline_s=0.5, stale_after_s=1.0) as verifier:
        await verifier.verify(known.api_key)
        gateway.auth.freeze()
        try:
            await until(lambda: not verifier.fresh, what="the watch is silent")
            assert await code_of(verifier, known) is VerdictCode.VALID
            with pytest.raises((ServiceTimeout, ServiceUnavailable)):
                await verifier.verify(unknown.api_key)
        finally:
            gateway.auth.thaw()
        await until(lambda: verifier.fresh, what="the watch is back")
        assert await code_of(verifier, unknown) is VerdictCode.VALID
