"""A back end that knows nothing of keys, behind real proxies on the example configurations: who gets through, and as whom."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from yarl import URL

from tests.support.auth_client import AuthClient
from tests.support.echo_backend import EchoBackend
from tests.support.http_auth import UNKNOWN_KEY, Answered, HttpAuth, request
from tests.support.ports import free_port
from tests.support.proxies import KINDS, Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


@dataclass
class World:
    """A proxy between clients and a back end, an auth service, and the Redis of its keys."""

    redis: RedisServer
    auth: HttpAuth
    backend: EchoBackend
    proxy: Proxy
    spare: Proxy

    async def get(self, api_key: str | None = None, path: str = "/a", **headers: str) -> Answered:
        """Make a request as a client does."""
        held = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        return await request("GET", self.proxy.url + path, headers={**held, **headers})

    async def assert_denied(
        self, status: int, code: str, api_key: str | None = None, path: str = "/a", **headers: str
    ) -> Answered:
        """Fail unless a request is denied and does not reach the back end."""
        before = len(self.backend.requests)
        answer = await self.get(api_key, path, **headers)
        assert (answer.status, answer.code) == (status, code), answer
        assert len(self.backend.requests) == before
        return answer

    async def assert_fault(self, api_key: str, proxy: Proxy | None = None) -> None:
        """Fail unless a request is told of a fault, and of no denial, and does not reach the back end."""
        before = len(self.backend.requests)
        headers = {"Authorization": f"Bearer {api_key}"}
        answer = await request("GET", (proxy or self.proxy).url + "/a", headers=headers)
        assert answer.status in ((503,) if proxy is None else (500, 503)), answer
        assert len(self.backend.requests) == before


@pytest.fixture(scope="module", params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything, with one kind of proxy; `spare` shows the auth service a credential that is not good."""
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    redis.start()
    variables = {"TIDEWIRE_AUTH_STORE_URL": redis.url, "TIDEWIRE_AUTH_PEPPER": "1:" + "p" * 40}
    # One record is remembered, so that a question about another key needs the store.
    flags = {"http-port": free_port(), "store-timeout-s": 2, "record-cache-size": 1}
    auth = HttpAuth(tmp_path_factory.mktemp("auth"), flags, variables)
    auth.process.start()
    backend = EchoBackend()
    backend.start()
    proxies = [
        Proxy(
            request.param,
            tmp_path_factory.mktemp(request.param),
            backend_port=backend.port,
            auth_grpc_port=auth.process.port,
            auth_http_port=auth.http_port,
            credential=credential,
        )
        for credential in (auth.token, "not-good")
    ]
    try:
        for proxy in proxies:
            proxy.start()
        yield World(redis, auth, backend, *proxies)
    finally:
        for proxy in proxies:
            proxy.stop()
        backend.stop()
        auth.end()
        redis.stop()
    assert not [canary for canary in auth.canaries if canary in proxies[0].log()], "a key is in the proxy's log"


@pytest.fixture
async def client(world: World) -> AsyncIterator[AuthClient]:
    async with world.auth.client() as made:
        yield made


def headers_of(answer: Answered) -> dict[str, list[str]]:
    """Return the headers that the back end was sent, by name in lower case."""
    assert answer.status == 200, answer
    found: dict[str, list[str]] = {}
    for name, value in json.loads(answer.body)["headers"]:
        found.setdefault(name, []).append(value)
    return found


async def test_a_good_key_gets_through_with_its_identity_and_without_its_text(world: World, client: AuthClient) -> None:
    key, text = await client.create(["join:a", "publish:b"], owner="team Zoë")
    for headers in ({"Authorization": f"Bearer {text}"}, {"X-API-Key": text}):
        answer = await request("GET", f"{world.proxy.url}/a?b=c", headers=headers)
        seen = headers_of(answer)
        assert seen["x-tidewire-key-id"] == [key.key_id]
        assert seen["x-tidewire-owner"] == ["team%20Zo%C3%AB"]
        assert seen["x-tidewire-permissions"] == ["join:a publish:b"]
        assert text not in answer.body.decode()
        assert world.auth.token not in answer.body.decode()
        assert json.loads(answer.body)["path"] == "/a?b=c"


async def test_a_body_gets_through(world: World, client: AuthClient) -> None:
    _, text = await client.create(["publish:orders"])
    headers = {"Authorization": f"Bearer {text}"}
    answer = await request("POST", f"{world.proxy.url}/orders/1", headers=headers, data="x" * 100_000)
    assert answer.status == 200
    seen = json.loads(answer.body)
    assert (seen["method"], seen["path"], len(seen["body"])) == ("POST", "/orders/1", 100_000)


FORGED = {
    "X-Tidewire-Key-Id": "forged",
    "x-tidewire-OWNER": "forged",
    "X-Tidewire-Permissions": "forged",
    "X_Tidewire_Key_Id": "forged",
    "X_Tidewire_Owner": "forged",
    "X-Tidewire_Permissions": "forged",
}


async def test_identity_that_a_client_made_up_never_arrives(world: World, client: AuthClient) -> None:
    key, text = await client.create(owner="team")
    answer = await world.get(text, **FORGED)
    assert "forged" not in answer.body.decode()
    seen = headers_of(answer)
    assert (seen["x-tidewire-key-id"], seen["x-tidewire-owner"]) == ([key.key_id], ["team"])


async def test_without_a_key_nobody_gets_through(world: World) -> None:
    answer = await world.assert_denied(401, "NO_KEY")
    assert answer.headers["www-authenticate"] == 'Bearer realm="tidewire"'


async def test_an_unknown_key_is_denied(world: World) -> None:
    answer = await world.assert_denied(401, "NOT_FOUND", UNKNOWN_KEY)
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_a_key_that_was_disabled_or_revoked_is_refused_at_once(world: World, client: AuthClient) -> None:
    key, text = await client.create()
    assert (await world.get(text)).status == 200
    await client.disable(key.key_id)
    await world.assert_denied(401, "DISABLED", text)
    await client.enable(key.key_id)
    assert (await world.get(text)).status == 200
    await client.revoke(key.key_id)
    await world.assert_denied(401, "REVOKED", text)


async def test_a_key_whose_time_is_over_is_denied(world: World, client: AuthClient) -> None:
    _, text = await client.create(expires_in_s=0.5)

    async def over() -> bool:
        return (await world.get(text)).status != 200

    await eventually(over)
    await world.assert_denied(401, "EXPIRED", text)


async def test_each_route_asks_for_its_own_permission(world: World, client: AuthClient) -> None:
    _, text = await client.create(["publish:other"])
    assert (await world.get(text)).status == 200
    await world.assert_denied(403, "INSUFFICIENT_PERMISSIONS", text, "/orders/1")
    _, text = await client.create(["publish:orders"])
    assert (await world.get(text, "/orders/1")).status == 200


@pytest.mark.parametrize("path", ["//orders/1", "/a/../orders/1", "/%6frders/1", "/a/%2e%2e/orders/1", "/./orders/1"])
async def test_no_other_way_to_write_a_path_leads_round_its_permission(
    world: World, client: AuthClient, path: str
) -> None:
    _, text = await client.create(["publish:other"])
    url = URL(world.proxy.url + path, encoded=True)
    before = len(world.backend.requests)
    answer = await request("GET", url, headers={"Authorization": f"Bearer {text}"})
    assert answer.status != 200, answer
    assert len(world.backend.requests) == before


async def test_a_key_that_is_used_up_is_told_so(world: World, client: AuthClient) -> None:
    _, text = await client.create(max_uses=2)
    assert [(await world.get(text)).status for _ in range(2)] == [200, 200]
    await world.assert_denied(429, "USAGE_EXCEEDED", text)


async def test_an_address_that_tries_out_keys_has_to_wait_whatever_it_says_of_itself(world: World) -> None:
    tried = "tw_live_trying_out_keys"
    for number in range(10):
        await world.assert_denied(401, "NOT_FOUND", tried, **{"X-Forwarded-For": f"198.51.100.{number}"})
    answer = await world.assert_denied(429, "RATE_LIMITED", tried, **{"X-Forwarded-For": "198.51.100.99"})
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_proxy_that_may_not_ask_lets_nobody_through(world: World, client: AuthClient) -> None:
    _, text = await client.create()
    await world.assert_fault(text, world.spare)


async def test_a_store_that_is_away_is_a_fault(world: World, client: AuthClient) -> None:
    _, text = await client.create()
    await client.create()
    world.redis.kill9()
    await world.assert_fault(text)
    await world.assert_fault(UNKNOWN_KEY)
    world.redis.start()
    await eventually(lambda: gets_through(world, text), what="keys are verified again")


async def test_an_auth_service_that_is_gone_or_hangs_is_a_fault(world: World, client: AuthClient) -> None:
    _, text = await client.create()
    world.auth.process.freeze()
    await world.assert_fault(text)
    world.auth.process.thaw()
    await eventually(lambda: gets_through(world, text), what="keys are verified again")
    world.auth.process.kill9()
    await world.assert_fault(text)
    world.auth.process.start()
    await eventually(lambda: gets_through(world, text), what="keys are verified again")


async def gets_through(world: World, text: str) -> Any:
    return (await world.get(text)).status == 200
