"""A watch of key changes that goes silent or is overtaken: no verdict is used beyond its bound, and no late one at all."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.support.auth_relay import AuthRelay
from tests.support.http_client import http
from tests.support.key_admin import KeyAdmin, MadeKey
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually
from tidewire_client.errors import ServiceUnavailable
from tidewire_client.verdict import VerdictCode
from tidewire_client.verifier import KeyVerifier

pytestmark = pytest.mark.integration

STALE_S = 2.0
GRACE_S = 1.0
DEADLINE_S = 2.0
# What machines need beyond the bounds.
SLACK_S = 10.0
# Connections of each key.
LIVE = 12


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose auth service says every 0.2 s that it is there."""
    made = Gateway(tmp_path_factory.mktemp("silent"), auth={"watch-checkpoint-s": 0.2})
    with made:
        yield made


@pytest.fixture
def admin(gateway: Gateway) -> KeyAdmin:
    return gateway.key_admin()


@pytest.fixture
def proxy(gateway: Gateway) -> Iterator[TcpProxy]:
    with TcpProxy([gateway.auth.address]) as made:
        yield made


@pytest.fixture
async def relay(gateway: Gateway) -> AsyncIterator[AuthRelay]:
    async with AuthRelay(gateway.auth.address) as made:
        yield made


@asynccontextmanager
async def verifying(gateway: Gateway, target: str, **more: float) -> AsyncIterator[KeyVerifier]:
    bounds = {"stale_after_s": STALE_S, "outage_grace_s": GRACE_S, "deadline_s": DEADLINE_S, **more}
    verifier = KeyVerifier(target, service_token=gateway.service_token, **bounds)
    await verifier.start()
    try:
        await until(lambda: verifier.fresh)
        yield verifier
    finally:
        await verifier.close()


async def until(condition: Callable[[], object], deadline_s: float = 30.0) -> None:
    async def holds() -> bool:
        return bool(condition())

    await eventually(holds, deadline_s)


async def in_thread(function: Callable[[MadeKey], None], key: MadeKey) -> None:
    await asyncio.to_thread(function, key)


# The watch hears nothing.


async def test_a_verifier_whose_watch_hears_nothing_asks_again_over_another_connection(
    gateway: Gateway, admin: KeyAdmin, proxy: TcpProxy
) -> None:
    revoked, kept = [await asyncio.to_thread(admin.create) for _ in range(2)]
    async with verifying(gateway, proxy.addresses()[0]) as verifier:
        for key in (revoked, kept):
            assert (await verifier.verify(key.api_key)).allowed
        assert proxy.deafen() >= 1
        began_s = time.monotonic()
        await in_thread(admin.revoke, revoked)

        async def denied() -> bool:
            return (await verifier.verify(revoked.api_key)).code is VerdictCode.REVOKED

        await eventually(denied)
        assert time.monotonic() - began_s < STALE_S + DEADLINE_S + SLACK_S
        await until(lambda: verifier.fresh)
        assert (await verifier.verify(kept.api_key)).allowed
        assert verifier.stats.silences == 1
        # It was told of the change that it had missed: what it knew of other keys was not thrown away.
        assert (verifier.stats.changes, verifier.stats.resyncs) == (1, 1)
        assert proxy.counters.swallowed_bytes > 0


async def test_a_verifier_that_hears_nothing_at_all_denies_at_the_end_of_the_grace(
    gateway: Gateway, admin: KeyAdmin, proxy: TcpProxy
) -> None:
    key = await asyncio.to_thread(admin.create)
    async with verifying(gateway, proxy.addresses()[0]) as verifier:
        assert (await verifier.verify(key.api_key)).allowed
        proxy.swallow_downstream()
        began_s = time.monotonic()
        await in_thread(admin.revoke, key)

        async def denied() -> bool:
            try:
                return not (await verifier.verify(key.api_key)).allowed
            except ServiceUnavailable:
                return True

        await eventually(denied)
        assert time.monotonic() - began_s < STALE_S + GRACE_S + DEADLINE_S + SLACK_S
        with pytest.raises(ServiceUnavailable):
            await verifier.verify(key.api_key)
        assert verifier.stats.refused_unavailable >= 2
        proxy.restore()

        async def revoked() -> bool:
            try:
                return (await verifier.verify(key.api_key)).code is VerdictCode.REVOKED
            except ServiceUnavailable:
                return False

        await eventually(revoked)


def counted(edge: ServiceProcess, metric: str) -> float:
    """Return a metric of an edge; 0 if it was never counted."""
    text = http("GET", f"http://{edge.address}/metrics").body.decode()
    found = re.search(rf"^{re.escape(metric)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def closed_with_4000(edge: ServiceProcess) -> float:
    return await asyncio.to_thread(counted, edge, 'tidewire_edge_closes_total{code="4000"}')


async def test_an_edge_whose_watch_hears_nothing_closes_live_connections_within_its_bound(
    gateway: Gateway, admin: KeyAdmin, proxy: TcpProxy, clients_of: Callable[..., Clients]
) -> None:
    flags = {"auth_target": proxy.addresses()[0], "verdict_stale_s": STALE_S}
    edge = await asyncio.to_thread(lambda: gateway.another_edge(new_name("deaf"), **flags))
    made = clients_of(Target.of(gateway, edge))
    revoked, kept = [await asyncio.to_thread(admin.create) for _ in range(2)]
    goes = [await made.connected(api_key=revoked.api_key) for _ in range(LIVE)]
    stays = [await made.connected(api_key=kept.api_key) for _ in range(LIVE)]
    for client in stays:
        await client.join("room")
    assert proxy.deafen() >= 1
    began_s = time.monotonic()
    await in_thread(admin.revoke, revoked)
    for client in goes:
        await client.expect_error("key_revoked", 403)
        await client.expect_goodbye(4000)
    assert time.monotonic() - began_s < STALE_S + SLACK_S
    assert await closed_with_4000(edge) == LIVE
    await stays[0].publish("room", "still here")
    for client in stays[1:]:
        frame = await client.take("chat_message")
        assert frame["data"]["content"] == "still here"
    late = await made.open()
    await late.send_connect(made.workspace, api_key=revoked.api_key)
    await late.expect_error("key_revoked", 403)


# An answer that a change has overtaken.


async def test_a_late_valid_is_neither_kept_nor_used_by_a_verifier(
    gateway: Gateway, admin: KeyAdmin, relay: AuthRelay
) -> None:
    key = await asyncio.to_thread(admin.create)
    async with verifying(gateway, relay.address, deadline_s=20.0) as verifier:
        relay.hold()
        asking = asyncio.create_task(verifier.verify(key.api_key))
        held = await relay.held.get()
        assert [VerdictCode(verdict.code) for verdict in held.verdicts] == [VerdictCode.VALID]
        heard = verifier.stats.changes
        await in_thread(admin.revoke, key)
        await until(lambda: verifier.stats.changes > heard)
        relay.release()
        assert (await asking).code is VerdictCode.REVOKED
        assert verifier.stats.fills_rejected == 1
        assert (await verifier.verify(key.api_key)).code is VerdictCode.REVOKED
        assert verifier.stats.hits == 0


@pytest.mark.parametrize("debug", [False, True], ids=["client", "debug"])
async def test_a_late_valid_opens_no_session(
    gateway: Gateway, admin: KeyAdmin, relay: AuthRelay, clients_of: Callable[..., Clients], debug: bool
) -> None:
    flags = {"auth_target": relay.address, "auth_deadline_s": 20.0}
    edge = await asyncio.to_thread(lambda: gateway.another_edge(new_name("overtaken"), **flags))
    key = await asyncio.to_thread(admin.create)
    client = await clients_of(Target.of(gateway, edge), debug=debug).open()
    relay.hold()
    frame_id = await client.send_connect("w", api_key=key.api_key)
    held = await relay.held.get()
    assert [VerdictCode(verdict.code) for verdict in held.verdicts] == [VerdictCode.VALID]
    before = await asyncio.to_thread(counted, edge, "tidewire_edge_verifier_changes_total")
    await in_thread(admin.revoke, key)

    async def heard() -> bool:
        return await asyncio.to_thread(counted, edge, "tidewire_edge_verifier_changes_total") > before

    await eventually(heard)
    relay.release()
    await client.expect_error("key_revoked", 403, frame_id=frame_id)
    await client.expect_goodbye(4000)
    assert await asyncio.to_thread(counted, edge, "tidewire_edge_connections_authenticated_total") == 0
    assert await asyncio.to_thread(counted, edge, "tidewire_edge_verifier_fills_rejected_total") == 1


async def test_a_late_valid_lets_nobody_join_what_the_key_has_lost(
    gateway: Gateway, admin: KeyAdmin, relay: AuthRelay, clients_of: Callable[..., Clients]
) -> None:
    flags = {"auth_target": relay.address, "auth_deadline_s": 20.0}
    edge = await asyncio.to_thread(lambda: gateway.another_edge(new_name("late"), **flags))
    key = await asyncio.to_thread(admin.create)
    client = await clients_of(Target.of(gateway, edge)).connected(api_key=key.api_key)
    relay.hold()
    frame_id = await client.send("join_channel", {"channel": "secret"})
    assert VerdictCode((await relay.held.get()).verdict.code) is VerdictCode.VALID
    before = await asyncio.to_thread(counted, edge, "tidewire_edge_verifier_changes_total")
    await asyncio.to_thread(lambda: admin.update(key, permissions=["join:public"]))

    async def heard() -> bool:
        return await asyncio.to_thread(counted, edge, "tidewire_edge_verifier_changes_total") > before

    await eventually(heard)
    relay.release()
    refused = await client.take("error", frame_id=frame_id)
    assert refused["data"]["error_type"] == "permission_denied"
    await client.expect("auth_status", status="authenticated")
    await client.assert_open()
