"""Two auth services on one Redis: what one does the other knows, and what becomes of both when Redis goes."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from auth_service.adapters.redis_access import calls as redis_calls
from auth_service.adapters.store_redis.store import RedisKeyStore
from auth_service.core.errors import RevisionGoneError, StoreUnavailableError
from service_runtime.redis_address import parse_redis_address
from tests.support.auth_client import AuthClient, assert_verdict, code_name, refused, state_name
from tests.support.key_admin import ACTS_WITHIN_S
from tests.support.processes import ROOT, ServiceProcess
from tests.support.redis_access import RedisAccess
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tests.unit.auth_service.fakes import a_record

pytestmark = pytest.mark.integration

TOKEN = f"canary-token-{secrets.token_hex(16)}"
PASSWORD = f"canary-password-{secrets.token_hex(8)}"
HEALS_WITHIN_S = 30.0
# Its store is given up after a second.
ANSWERS_WITHIN_S = 10.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis with a password, whose every confirmed change is on the disk."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), access=RedisAccess(PASSWORD))
    server.start()
    yield server
    server.stop()


def variables(redis: RedisServer, mode: str = "production") -> dict[str, str]:
    """Return the environment of a service on this Redis."""
    return {
        "TIDEWIRE_MODE": mode,
        "TIDEWIRE_SERVICE_TOKEN": TOKEN,
        "TIDEWIRE_AUTH_PEPPER": "1:" + "p" * 40,
        "TIDEWIRE_AUTH_STORE_URL": redis.url,
    }


@pytest.fixture(scope="module")
def services(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServiceProcess]]:
    """Two services; they end in order, and neither key, token nor password is in their logs."""
    started = []
    for name in ("first", "second"):
        folder = tmp_path_factory.mktemp(name)
        flags = {"data-dir": folder / "data", "store-timeout-s": 1, "watch-checkpoint-s": 0.1}
        started.append(ServiceProcess("auth_service", folder, flags, variables(redis), name))
        started[-1].start()
    yield started
    for process in started:
        assert process.stop() == 0, process.log()[-2000:]
        for canary in (TOKEN, PASSWORD, "Traceback"):
            assert canary not in process.log()


@pytest.fixture
async def clients(services: list[ServiceProcess]) -> AsyncIterator[tuple[AuthClient, AuthClient]]:
    """A client of each."""
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(AuthClient(process.address, f"Bearer {TOKEN}")) for process in services
        ]
        yield first, second


async def test_a_key_made_at_one_is_good_at_the_other(clients: tuple[AuthClient, AuthClient]) -> None:
    first, second = clients
    key, text = await first.create(["join:*"], owner="team")
    assert_verdict(await second.verify(text, action="join", channel="chat"), "VALID", key_id=key.key_id, owner="team")
    assert [found.key_id for found in (await second.list_page(owner="team")).keys] == [key.key_id]


async def test_a_revocation_at_one_is_told_by_the_other_and_acts_there(clients: tuple[AuthClient, AuthClient]) -> None:
    first, second = clients
    key, text = await first.create()
    assert_verdict(await second.verify(text), "VALID")  # and is remembered there
    async with second.watch(key.revision) as watch:
        began_s = time.monotonic()
        await first.revoke(key.key_id)
        assert await watch.changes(1) == [(key.key_id, "REVOKED")]
        assert time.monotonic() - began_s < ACTS_WITHIN_S
        assert_verdict(await second.verify(text), "REVOKED")


async def test_changes_at_both_at_once_all_count(clients: tuple[AuthClient, AuthClient]) -> None:
    key, _ = await clients[0].create()
    states = await asyncio.gather(
        *[
            client.disable(key.key_id) if turn % 2 else client.enable(key.key_id)
            for turn in range(6)
            for client in clients
        ],
        *[client.revoke(key.key_id) for client in clients],
        return_exceptions=True,
    )
    assert {state_name(state.state) for state in states[-2:] if not isinstance(state, BaseException)} == {"REVOKED"}
    for client in clients:
        assert state_name((await client.get(key.key_id)).state) == "REVOKED"


async def test_an_expiry_is_told_once_by_each(clients: tuple[AuthClient, AuthClient]) -> None:
    first, second = clients
    revision = await first.revision()
    async with first.watch(revision) as one, second.watch(revision) as other:
        key, _ = await first.create(expires_in_s=0.3)
        for watch in (one, other):
            assert await watch.changes(2) == [(key.key_id, "VALID"), (key.key_id, "EXPIRED")]
        later, _ = await second.create()
        for watch in (one, other):
            assert await watch.changes(1) == [(later.key_id, "VALID")]


async def test_redis_killed_is_a_fault_and_no_denial_and_all_heals(
    redis: RedisServer, clients: tuple[AuthClient, AuthClient]
) -> None:
    first, second = clients
    revoked, revoked_text = await first.create()
    _, good_text = await first.create()
    known, known_text = await first.create()
    await first.revoke(revoked.key_id)
    for client in clients:
        async with client.watch(known.revision) as watch:
            assert await watch.changes(1) == [(revoked.key_id, "REVOKED")]
        # No change is on its way any more that would keep this from being remembered.
        assert_verdict(await client.verify(known_text), "VALID")
    redis.kill9()
    try:
        await assert_unavailable(clients, revoked.key_id, (revoked_text, good_text), known_text)
    finally:
        redis.start()
    for client in clients:
        await eventually(lambda client=client: answers(client), HEALS_WITHIN_S)  # type: ignore[misc]
        assert_verdict(await client.verify(revoked_text), "REVOKED")
        assert_verdict(await client.verify(good_text), "VALID")
    key, _ = await first.create()
    async with second.watch(key.revision) as watch:
        await first.disable(key.key_id)
        assert await watch.changes(1) == [(key.key_id, "DISABLED")]


async def test_a_redis_that_hangs_is_a_fault_in_time(
    redis: RedisServer, clients: tuple[AuthClient, AuthClient]
) -> None:
    redis.freeze()
    try:
        began_s = time.monotonic()
        with refused("STORE_UNAVAILABLE"):
            await clients[0].create()
        assert time.monotonic() - began_s < ANSWERS_WITHIN_S
    finally:
        redis.thaw()
    for client in clients:
        await eventually(lambda client=client: answers(client), HEALS_WITHIN_S)  # type: ignore[misc]


async def test_a_service_whose_redis_hangs_says_so_until_it_answers_again(
    redis: RedisServer, services: list[ServiceProcess]
) -> None:
    async with grpc.aio.insecure_channel(services[0].address) as channel:
        health = health_pb2_grpc.HealthStub(channel)

        async def serving() -> bool:
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        async def not_serving() -> bool:
            return not await serving()

        await eventually(serving, HEALS_WITHIN_S)
        redis.freeze()
        try:
            await eventually(not_serving, HEALS_WITHIN_S)
        finally:
            redis.thaw()
        await eventually(serving, HEALS_WITHIN_S)
    assert "key store fails" in services[0].log()
    assert "key store works again" in services[0].log()


async def assert_unavailable(
    clients: tuple[AuthClient, AuthClient], key_id: str, unknown: tuple[str, str], known: str
) -> None:
    """Fail unless both services say that they cannot answer, but for the key that they know."""
    for client in clients:
        for text in unknown:
            with refused("STORE_UNAVAILABLE"):
                await client.verify(text)
        assert_verdict(await client.verify(known), "VALID")
        with refused("STORE_UNAVAILABLE"):
            await client.create()
        with refused("STORE_UNAVAILABLE"):
            await client.revoke(key_id)


async def answers(client: AuthClient) -> bool:
    """Return whether a service can make keys and verify them."""
    try:
        _, text = await client.create()
        return code_name((await client.verify(text)).code) == "VALID"
    except grpc.aio.AioRpcError:
        return False


def bootstrap(redis: RedisServer, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "auth_service", "bootstrap", "--data-dir", str(folder)],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", **variables(redis)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_bootstrap_makes_one_key_however_many_run_it(
    redis: RedisServer, tmp_path: Path, clients: tuple[AuthClient, AuthClient]
) -> None:
    running = [bootstrap(redis, tmp_path / name) for name in ("a", "b")]
    ended = [await asyncio.to_thread(process.communicate, timeout=30) for process in running]
    assert sorted(process.returncode for process in running) == [0, 3], ended
    (text,) = [out.strip() for out, _ in ended if out]
    for client in clients:
        assert_verdict(await client.verify(text), "VALID")


# The store itself.


async def opened(redis: RedisServer, namespace: str) -> RedisKeyStore:
    store = a_store(redis.url, namespace)
    await store.open()
    return store


def a_store(url: str, namespace: str) -> RedisKeyStore:
    return RedisKeyStore(
        parse_redis_address(url), namespace=namespace, timeout_s=5.0, change_log_size=100, audit_log_size=100
    )


async def test_a_redis_that_cannot_be_used_is_named_without_its_password(redis: RedisServer) -> None:
    for url in (redis.url.replace(PASSWORD, "wrong-word"), "redis://:wrong-word@127.0.0.1:1", f"redis://{redis.place}"):
        store = a_store(url, "x")
        with pytest.raises(
            StoreUnavailableError, match=r"the key store redis://127\.0\.0\.1:.* cannot be opened"
        ) as caught:
            await store.open()
        assert "wrong-word" not in str(caught.value)


async def test_a_redis_that_came_back_with_less_is_noticed_by_those_who_saw_more(redis: RedisServer) -> None:
    seeing, other = await opened(redis, "less"), await opened(redis, "less")
    try:
        await other.create(a_record("k1"))
        await other.create(a_record("k2"))
        assert len(await seeing.changes_since(0, 10)) == 2
        for name in ("meta", "log", "audit", "records", "order"):
            await other._calls.command("DEL", f"{{less:auth}}:{name}")
        for number in range(3):
            await other.create(a_record(f"n{number}"))
        with pytest.raises(RevisionGoneError, match="replaced"):
            await seeing.changes_since(2, 10)
        assert [change.key_id for change in await seeing.changes_since(await seeing.revision(), 10)] == []
    finally:
        await seeing.close()
        await other.close()


@pytest.mark.parametrize(("flushes", "begins_anew"), [("always", False), ("everysec", True)])
async def test_a_watcher_that_was_away_is_told_of_a_server_that_may_lack_changes(
    tmp_path: Path, flushes: str, begins_anew: bool
) -> None:
    """Revisions that were given out are not given out again, so nobody who comes back takes new changes for old ones."""
    server = RedisServer(tmp_path / "redis", {"appendfsync": flushes})
    server.start()
    store = await opened(server, "home")
    for number in range(3):
        await store.create(a_record(f"k{number}"))
    server.restart()

    async def answers_again() -> bool:
        try:
            return await store.get("k0") is not None
        except StoreUnavailableError:
            return False

    await eventually(answers_again, HEALS_WITHIN_S)
    changed = await store.create(a_record("k3"))
    if begins_anew:
        assert changed.revision > 1_000_000
        for seen in (2, 3):
            with pytest.raises(RevisionGoneError):
                await store.changes_since(seen, 10)
    else:
        assert [change.revision for change in await store.changes_since(2, 10)] == [3, 4]
    other = await opened(server, "home")
    assert await other.revision() == changed.revision
    entries = await other.audit_entries(before=0, limit=10)
    assert [entry.key_id for entry in entries] == ["k3", "k2", "k1", "k0"]
    assert [entry.revision for entry in entries] == [changed.revision, 3, 2, 1]
    for each in (store, other):
        await each.close()
    server.stop()


async def test_a_redis_that_still_loads_is_waited_for(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", access=RedisAccess(PASSWORD))
    server.start()
    store = await opened(server, "loads")
    for number in range(20):
        await store.create(a_record(f"k{number}"))
    await store.close()
    await asyncio.to_thread(server.prepare_slow_launch)
    server.kill9()
    server.launch_slowly(1.5)
    await eventually(lambda: asyncio.to_thread(server.loads), what="it loads")
    store = await opened(server, "loads")
    assert await store.revision() == 20
    await store.close()
    server.stop()


async def test_a_store_of_a_later_version_is_refused(redis: RedisServer) -> None:
    store = await opened(redis, "later")
    await store.create(a_record("k1"))
    await store._calls.command("HSET", "{later:auth}:meta", "schema", 9)
    await store.close()
    with pytest.raises(StoreUnavailableError, match="schema version 9"):
        await opened(redis, "later")


async def test_namespaces_know_nothing_of_each_other(redis: RedisServer) -> None:
    one, two = await opened(redis, "one"), await opened(redis, "two")
    try:
        await one.create(a_record("k1"))
        assert await two.get("k1") is None
        assert await two.revision() == 0
    finally:
        await one.close()
        await two.close()


def test_services_in_development_mode_start_together(redis: RedisServer, tmp_path: Path) -> None:
    started = []
    for name in ("one", "two", "three"):
        flags = {"data-dir": tmp_path / name, "store-namespace": "development"}
        started.append(ServiceProcess("auth_service", tmp_path, flags, variables(redis, "development"), name))
        started[-1].launch()
    for process in started:
        process.wait_ready()
    assert [process.stop() for process in started] == [0, 0, 0]


async def test_calls_that_wait_are_bounded(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await opened(redis, "bounded")
    try:
        monkeypatch.setattr(redis_calls, "MAX_WAITING_CALLS", 3)
        answers = await asyncio.gather(*[store.get("k1") for _ in range(8)], return_exceptions=True)
        assert answers[:3] == [None] * 3
        assert {type(answer) for answer in answers[3:]} == {StoreUnavailableError}
        assert await store.get("k1") is None
    finally:
        await store.close()
