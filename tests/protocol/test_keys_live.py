"""protocol.md: a key that is revoked, disabled or expired acts at once, on every edge, on live connections too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.key_admin import KeyAdmin, MadeKey
from tests.support.protocol_client import Clients, ProtocolClient
from tests.support.services import Gateway
from tests.support.target import Target

pytestmark = pytest.mark.integration

ACTS_WITHIN_S = 3.0


async def expect_end(client: ProtocolClient, error_type: str, message: str) -> None:
    await client.expect_error(error_type, 403, message=message)
    await client.expect_goodbye(4000, message)


async def test_revoked_key(clients: Clients, key_admin: KeyAdmin) -> None:
    key = key_admin.create()
    live = [await clients.connected(api_key=key.api_key) for _ in range(3)]
    other = await clients.connected()
    began = time.monotonic()
    await asyncio.to_thread(key_admin.revoke, key)
    for client in live:
        await expect_end(client, "key_revoked", "API key revoked")
    assert time.monotonic() - began < ACTS_WITHIN_S
    await other.assert_open()
    again = await clients.open()
    frame_id = await again.send_connect(clients.workspace, api_key=key.api_key)
    await again.expect_error("key_revoked", 403, frame_id=frame_id, message="API key revoked")
    await again.expect_goodbye(4000)


async def test_disabled_key_and_enabled_again(clients: Clients, key_admin: KeyAdmin) -> None:
    key = key_admin.create()
    live = await clients.connected(api_key=key.api_key)
    await asyncio.to_thread(key_admin.disable, key)
    await expect_end(live, "key_disabled", "API key disabled")
    refused = await clients.open()
    frame_id = await refused.send_connect(clients.workspace, api_key=key.api_key)
    await refused.expect_error("key_disabled", 403, frame_id=frame_id, message="API key disabled")
    await refused.expect_goodbye(4000)
    await asyncio.to_thread(key_admin.enable, key)

    async def let_in() -> bool:
        client = await clients.open()
        await client.send_connect(clients.workspace, api_key=key.api_key)
        return (await client.receive())["type"] == "connection_success"

    deadline = time.monotonic() + ACTS_WITHIN_S
    while not await let_in():
        assert time.monotonic() < deadline


async def test_key_that_expires(clients: Clients, make_key: Callable[..., MadeKey]) -> None:
    key = make_key(expires_in_s=1.5)
    live = await clients.connected(api_key=key.api_key)
    await expect_end(live, "token_expired", "Token expired")
    refused = await clients.open()
    frame_id = await refused.send_connect(clients.workspace, api_key=key.api_key)
    await refused.expect_error("token_expired", 403, frame_id=frame_id, message="Token expired")
    await refused.expect_goodbye(4000)


async def test_wrong_secret_of_a_known_key_cannot_be_told_from_an_unknown_one(
    clients: Clients, make_key: Callable[..., MadeKey]
) -> None:
    text = make_key().api_key
    client = await clients.open()
    frame_id = await client.send_connect(clients.workspace, api_key=text[:-1] + ("a" if text[-1] != "a" else "b"))
    await client.expect_error("invalid_key", 403, frame_id=frame_id, message="Invalid API key")
    await client.expect_goodbye(4000)


async def test_revoked_on_every_edge(gateway: Gateway, clients_of: Callable[..., Clients]) -> None:
    second = gateway.another_edge("second")
    admin = gateway.key_admin()
    key = admin.create()
    edges = [clients_of(Target.of(gateway)), clients_of(Target.of(gateway, second))]
    live = [await made.connected(api_key=key.api_key) for made in edges]
    await asyncio.to_thread(admin.revoke, key)
    for client in live:
        await expect_end(client, "key_revoked", "API key revoked")


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose auth service keeps a single change for watchers that come back."""
    gateway = Gateway(tmp_path_factory.mktemp("forgetful"), auth={"change-log-size": 1})
    try:
        gateway.start()
        yield gateway
        gateway.stop()
    finally:
        gateway.kill()


@pytest.mark.parametrize("debug", [False, True], ids=["client", "debug"])
async def test_changes_that_were_missed_are_found_by_checking_again(
    forgetful: Gateway, clients_of: Callable[..., Clients], debug: bool
) -> None:
    """Who lost its key while nobody could be told is let go; the others are told that they were checked."""
    made = clients_of(Target.of(forgetful), debug=debug)
    admin = forgetful.key_admin()
    kept, lost = [await asyncio.to_thread(admin.create) for _ in range(2)]
    stays, goes = [await made.connected(api_key=key.api_key) for key in (kept, lost)]
    forgetful.auth.kill9()
    other = forgetful.another_auth(f"meanwhile-{debug}")
    meanwhile = KeyAdmin(other.address, forgetful.service_token, forgetful.canaries.add)
    await asyncio.to_thread(meanwhile.revoke, lost)
    for _ in range(2):
        await asyncio.to_thread(meanwhile.create)
    other.stop()
    await asyncio.to_thread(forgetful.auth.start)
    await expect_end(goes, "key_revoked", "API key revoked")
    await stays.expect("auth_status", status="authenticated")
    await stays.assert_open()
