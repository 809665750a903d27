"""The FastAPI example on a real uvicorn, its keys verified by a real auth service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import uvicorn

from tests.support.examples import load_example
from tests.support.key_admin import ACTS_WITHIN_S, KeyAdmin
from tests.support.services import Gateway
from tests.support.waiting import eventually
from tidewire_client import KeyAdmin as Administration

pytestmark = pytest.mark.integration


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI application with uvicorn; yields its address."""
    config = uvicorn.Config(app, port=0, lifespan="on", log_config=None, ws="websockets-sansio")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())

    async def started() -> bool:
        assert not running.done(), "uvicorn ended"
        return server.started

    try:
        await eventually(started, what="uvicorn serves")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@pytest.fixture
async def url(shared_gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Where the example listens."""
    monkeypatch.setenv("TIDEWIRE_AUTH_TARGET", shared_gateway.auth.address)
    monkeypatch.setenv("TIDEWIRE_SERVICE_TOKEN", shared_gateway.service_token)
    async with serving(load_example("python/fastapi_app.py").app) as address:
        yield address


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.fixture
def admin(shared_gateway: Gateway) -> KeyAdmin:
    return shared_gateway.key_admin()


def bearer(api_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"}


async def test_the_holder_of_a_key_is_known(url: str, session: aiohttp.ClientSession, admin: KeyAdmin) -> None:
    key = admin.create(["join:orders"])
    for headers in (bearer(key.api_key), {"X-API-Key": key.api_key}):
        async with session.get(f"{url}/orders", headers={**headers, "X-Tidewire-Owner": "root"}) as answer:
            assert answer.status == 200
            assert await answer.json() == {"owner": "tests", "key_id": key.key_id}


async def test_a_path_that_is_exempt_needs_no_key(url: str, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{url}/health") as answer:
        assert await answer.json() == {"status": "ok"}


async def test_who_is_not_let_in_is_told_why(url: str, session: aiohttp.ClientSession, admin: KeyAdmin) -> None:
    async with session.get(f"{url}/orders") as answer:
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    async with session.get(f"{url}/orders", headers=bearer("nothing")) as answer:
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    other = admin.create(["join:lobby"])
    async with session.get(f"{url}/orders", headers=bearer(other.api_key)) as answer:
        assert answer.status == 403
        assert 'scope="join:orders"' in answer.headers["WWW-Authenticate"]
        assert await answer.json() == {
            "error": "insufficient_scope",
            "error_description": "the API key lacks a permission: join:orders",
        }


async def test_a_revoked_key_is_refused_at_once(url: str, session: aiohttp.ClientSession, admin: KeyAdmin) -> None:
    key = admin.create(["join:orders"])

    async def status() -> int:
        async with session.get(f"{url}/orders", headers=bearer(key.api_key)) as answer:
            return answer.status

    assert await status() == 200
    await asyncio.to_thread(admin.revoke, key)

    async def refused() -> bool:
        return await status() == 401

    await eventually(refused, ACTS_WITHIN_S, "the revocation acts")


async def test_websockets_are_protected(url: str, session: aiohttp.ClientSession, admin: KeyAdmin) -> None:
    key = admin.create(["join:orders"])
    async with session.ws_connect(f"{url}/live", headers=bearer(key.api_key)) as socket:
        assert await socket.receive_json(timeout=10) == {"owner": "tests"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await session.ws_connect(f"{url}/live")
    assert refused.value.status == 401


async def test_each_request_is_charged(url: str, session: aiohttp.ClientSession, shared_gateway: Gateway) -> None:
    """Twenty requests at the same time with a key that is good for seven: seven are let in."""
    async with Administration(shared_gateway.auth.address, token=shared_gateway.service_token) as admin:
        made = await admin.create("tests", ["join:orders"], max_uses=7)
        shared_gateway.canaries.add(made.api_key)

        async def status() -> int:
            async with session.get(f"{url}/orders", headers=bearer(made.api_key)) as answer:
                return answer.status

        statuses = await asyncio.gather(*(status() for _ in range(20)))
        assert (statuses.count(200), statuses.count(429)) == (7, 13)
        assert (await admin.get(made.key.key_id)).use_count == 7


async def test_while_the_auth_service_is_away_only_known_keys_are_let_in(
    gateway: Gateway, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEWIRE_AUTH_TARGET", gateway.auth.address)
    monkeypatch.setenv("TIDEWIRE_SERVICE_TOKEN", gateway.service_token)
    known, unknown = (gateway.key_admin().create(["join:orders"]) for _ in range(2))
    async with serving(load_example("python/fastapi_app.py").app) as url:

        async def status(api_key: str) -> int:
            async with session.get(f"{url}/orders", headers=bearer(api_key)) as answer:
                return answer.status

        assert await status(known.api_key) == 200
        gateway.auth.kill9()
        try:
            assert await status(unknown.api_key) == 503
            assert await status(known.api_key) == 200
        finally:
            await asyncio.to_thread(gateway.auth.start)
