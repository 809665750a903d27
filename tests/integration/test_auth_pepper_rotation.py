"""Peppers are changed without anybody noticing: keys move to the new one when they are verified, then the old one can go."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest
from tidewire.auth.v1 import auth_pb2

from tests.support.auth_client import AuthClient, assert_verdict
from tests.support.processes import ServiceProcess
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

TOKEN = f"canary-token-{secrets.token_hex(16)}"
OLD, NEW = "1:" + "o" * 40, "2:" + "n" * 40

# Makes a service with these peppers on the store of the test, not yet started.
Service = Callable[[str], ServiceProcess]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["file", "redis"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Services on one store, those that run are ended in order."""
    url = request.getfixturevalue("redis").url if request.param == "redis" else None
    data_dir, made = tmp_path_factory.mktemp("data"), []
    flags = {"data-dir": data_dir, "store-namespace": f"rotation-{secrets.token_hex(4)}", "watch-checkpoint-s": 0.1}

    def make(peppers: str) -> ServiceProcess:
        variables = {
            "TIDEWIRE_MODE": "production",
            "TIDEWIRE_SERVICE_TOKEN": TOKEN,
            "TIDEWIRE_AUTH_PEPPER": peppers,
            **({"TIDEWIRE_AUTH_STORE_URL": url} if url else {}),
        }
        made.append(ServiceProcess("auth_service", tmp_path_factory.mktemp("auth"), flags, variables))
        return made[-1]

    yield make
    for process in made:
        if process.running:
            assert process.stop() == 0, process.log()[-2000:]


def client_of(process: ServiceProcess) -> AuthClient:
    return AuthClient(process.address, f"Bearer {TOKEN}")


async def test_when_every_key_was_verified_the_old_pepper_can_go(service: Service) -> None:
    before = service(OLD)
    before.start()
    async with client_of(before) as client:
        made = [await client.create(max_uses=9 if number == 0 else 0) for number in range(5)]
        await client.revoke(made[4][0].key_id)
        last = (await client.get(made[4][0].key_id)).revision
    assert before.stop() == 0

    both = service(f"{NEW},{OLD}")
    both.start()
    async with client_of(both) as client:
        for key, text in made[:4]:
            assert_verdict(await client.verify(text), "VALID", key_id=key.key_id)
        # A look has no side effects.
        answer = await client.call("IntrospectKey", auth_pb2.IntrospectKeyRequest(api_key=made[4][1]))
        assert_verdict(answer.verdict, "REVOKED")
        _, fresh = await client.create()
    assert both.stop() == 0

    too_early = service(NEW)
    too_early.launch()
    assert await ended(too_early) != 0
    assert "version 1 of the pepper, which is missing" in too_early.log()

    both.start()
    async with client_of(both) as client:
        assert_verdict(await client.verify(made[4][1]), "REVOKED")
    assert both.stop() == 0

    after = service(NEW)
    after.start()
    async with client_of(after) as client:
        for key, text in made[:4]:
            assert_verdict(await client.verify(text), "VALID", key_id=key.key_id)
        assert_verdict(await client.verify(made[4][1]), "REVOKED")
        assert_verdict(await client.verify(fresh), "VALID")
        # Nothing of it is a change of a key.
        assert (await client.get(made[4][0].key_id)).revision == last
        async with client.watch(last) as watch:
            assert [code for _, code in await watch.changes(1)] == ["VALID"]
            assert await watch.checkpoint() == last + 1


async def ended(process: ServiceProcess) -> int:
    """Return the exit code of a process that ends by itself."""
    await eventually(lambda: has_ended(process))
    assert process.exit_code is not None
    return process.exit_code


async def has_ended(process: ServiceProcess) -> bool:
    return process.exit_code is not None
