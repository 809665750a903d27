"""The watch of key changes over real gRPC, at two auth services on one store: SQLite, and Redis."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.auth_client import AuthClient
from tests.support.processes import ServiceProcess
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.integration

TOKEN = f"canary-token-{secrets.token_hex(16)}"
LOG_SIZE = 12
QUEUE_SIZE = 5
EXPIRES_IN_MS = 2000


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def services(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ServiceProcess]]:
    """Two services on one store, whose bounds are soon reached."""
    variables = {
        "TIDEWIRE_MODE": "production",
        "TIDEWIRE_SERVICE_TOKEN": TOKEN,
        "TIDEWIRE_AUTH_PEPPER": "1:" + "p" * 40,
    }
    folder = tmp_path_factory.mktemp("watch")
    server = None
    if request.param == "redis":
        server = RedisServer(tmp_path_factory.mktemp("redis"))
        server.start()
        variables["TIDEWIRE_AUTH_STORE_URL"] = server.url
    flags = {
        "data-dir": folder / "data",
        "watch-checkpoint-s": 0.2,
        "watch-queue-size": QUEUE_SIZE,
        "change-log-size": LOG_SIZE,
    }
    started = [ServiceProcess("auth_service", folder, flags, variables, name) for name in ("first", "second")]
    for process in started:
        process.start()
    yield started
    for process in started:
        assert process.stop() == 0, process.log()[-2000:]
    if server is not None:
        server.stop()


@pytest.fixture
async def clients(services: list[ServiceProcess]) -> AsyncIterator[list[AuthClient]]:
    """A client of each."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(AuthClient(process.address, f"Bearer {TOKEN}", lambda _: None))
            for process in services
        ]


async def test_the_first_checkpoint_knows_what_the_other_service_has_just_done(clients: list[AuthClient]) -> None:
    first, second = clients
    for _ in range(10):
        key, _ = await first.create()
        async with second.watch() as watch:
            assert watch.first.checkpoint.revision == key.revision


async def test_checkpoints_come_when_nothing_happens(clients: list[AuthClient]) -> None:
    revision = await clients[0].revision()
    for client in clients:
        async with client.watch() as watch:
            assert watch.first.checkpoint.revision == revision
            assert [await watch.checkpoint() for _ in range(3)] == [revision] * 3


async def test_what_one_changes_both_tell_once_and_in_order(clients: list[AuthClient]) -> None:
    first, second = clients
    revision = await first.revision()
    async with first.watch(revision) as here, second.watch(revision) as there:
        key, _ = await first.create()
        await first.disable(key.key_id)
        await second.enable(key.key_id)
        await first.revoke(key.key_id)
        end, _ = await second.create()
        told = [(key.key_id, code) for code in ("VALID", "DISABLED", "VALID", "REVOKED")] + [(end.key_id, "VALID")]
        for watch in (here, there):
            assert await watch.changes(5) == told


async def test_an_expiry_is_told_exactly_once_by_each(clients: list[AuthClient]) -> None:
    first, second = clients
    revision = await first.revision()
    async with first.watch(revision) as here, second.watch(revision) as there:
        key, _ = await first.create(expires_in_s=0.5)
        for watch in (here, there):
            assert await watch.changes(2) == [(key.key_id, "VALID"), (key.key_id, "EXPIRED")]
        end, _ = await second.create()
        for watch in (here, there):
            assert await watch.changes(1) == [(end.key_id, "VALID")]
            assert await watch.checkpoint() == end.revision


async def test_a_revision_that_is_gone_needs_a_resync_at_both(clients: list[AuthClient]) -> None:
    first, second = clients
    gone, _ = await first.create()
    for _ in range(LOG_SIZE + 2):
        last, _ = await second.create()
    for client in clients:
        async with client.watch(gone.revision) as watch:
            assert watch.first.checkpoint.revision == last.revision
            assert str(gone.revision) in await watch.until_resync()
        async with client.watch() as watch:
            assert watch.first.checkpoint.revision == last.revision


async def test_a_watcher_that_is_too_slow_needs_a_resync_at_both(clients: list[AuthClient]) -> None:
    """More keys expire at the same moment than may wait for one watcher."""
    moment = Timestamp()
    moment.FromMilliseconds(int(time.time() * 1000) + EXPIRES_IN_MS)
    async with clients[0].watch() as here, clients[1].watch() as there:
        for _ in range(2 * QUEUE_SIZE):
            await clients[0].create(expire_time=moment)
        for watch in (here, there):
            assert "slow" in await watch.until_resync()
    for client in clients:
        async with client.watch() as watch:
            assert await watch.checkpoint() > 0
