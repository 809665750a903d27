"""Two auth services on one Redis, and two edges: what is done to a key at either of them acts at both edges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.support.key_admin import KeyAdmin, MadeKey
from tests.support.protocol_client import Clients
from tests.support.redis_server import RedisServer
from tests.support.services import ManyServices
from tests.support.target import Target

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

# Of keys that are changed while an edge that watches the other auth service has not heard yet that they were made.
ROUNDS = 10
# So many connections are checked side by side, and some ask the auth service that has not heard of the change yet.
AT_ONCE = 64


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManyServices]:
    """Two of each service, stopped in order at the end."""
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    redis.start()
    edge = {"auth-deadline-s": 20, "session-deadline-s": 20}
    made = ManyServices(tmp_path_factory.mktemp("services"), redis.url, edge=edge)
    with made:
        yield made
        redis.stop()


@pytest.fixture(params=[0, 1], ids=["first", "second"])
def admin(services: ManyServices, request: pytest.FixtureRequest) -> KeyAdmin:
    """Makes and changes keys at one of the auth services."""
    return KeyAdmin(services.auths[request.param].address, services.service_token, services.canaries.add)


CHANGES: list[Callable[[KeyAdmin, MadeKey], object]] = [
    lambda admin, key: admin.rotate(key, grace_s=600),
    lambda admin, key: admin.update(key, expires_in_s=600),
    lambda admin, key: admin.update(key, permissions=["join:*"]),
]


@pytest.mark.parametrize("change", CHANGES, ids=["rotate", "expiry", "permissions"])
async def test_clients_are_told_of_a_change_that_follows_the_making_of_their_key(
    services: ManyServices, admin: KeyAdmin, change: Callable[[KeyAdmin, MadeKey], object]
) -> None:
    """An edge may hear of both at once, after the client has come."""
    async with Clients(Target.of(services)) as here, Clients(Target.of(services, services.edges[1])) as there:
        for _ in range(ROUNDS):
            key = await asyncio.to_thread(admin.create)
            live = [await clients.connected(api_key=key.api_key) for clients in (here, there)]
            await asyncio.to_thread(change, admin, key)
            for client in live:
                await client.expect("auth_status", status="authenticated")
                await client.close()


async def test_a_narrowed_key_leaves_none_of_its_connections_in_a_channel_that_it_may_not_see(
    services: ManyServices, admin: KeyAdmin
) -> None:
    """Each connection asks a question of its own; some ask an auth service that has not heard of the change."""
    key = await asyncio.to_thread(lambda: admin.create(["join:*", "publish:*"]))
    async with Clients(Target.of(services)) as here, Clients(Target.of(services, services.edges[1])) as there:
        live = [
            await clients.connected(api_key=key.api_key, workspace=f"w-{number}")
            for number in range(AT_ONCE)
            for clients in (here, there)
        ]
        for client in live:
            await client.join("lost")
        await asyncio.to_thread(lambda: admin.update(key, permissions=["join:kept"]))
        for client in live:
            await client.expect("unsubscription_success", channel="lost", reason="permission_denied")
            await client.expect("auth_status", status="authenticated")
