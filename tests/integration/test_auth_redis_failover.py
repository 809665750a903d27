"""An auth service on Redis under Sentinels and on a Redis Cluster, when a master dies, hangs, or hands over."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
import pytest
from redis.crc import key_slot

from auth_service.adapters.redis_access import master as redis_master
from auth_service.adapters.store_redis.store import RedisKeyStore
from auth_service.core.errors import RevisionGoneError, StoreUnavailableError
from auth_service.core.keys import KeyState, change_state
from auth_service.core.ports import RecordChange
from service_runtime.redis_address import parse_redis_address
from tests.support.auth_client import AuthClient, assert_verdict, code_name, refused
from tests.support.processes import ServiceProcess
from tests.support.redis_access import Certificate, RedisAccess
from tests.support.redis_cluster import RedisClusterServers
from tests.support.redis_sentinel import SERVICE, RedisSentinel
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tests.unit.auth_service.fakes import NOW_MS, a_record

pytestmark = pytest.mark.integration

TOKEN = f"canary-token-{secrets.token_hex(16)}"
PASSWORD = f"canary-password-{secrets.token_hex(8)}"
NAMESPACE = "tidewire"
STORE_TIMEOUT_S = 1.5
# From the moment that there is a new master.
FOLLOWS_WITHIN_S = 10.0


class Group:
    """Redis servers of which another becomes the master of a store when it dies."""

    def __init__(self, servers: RedisSentinel | RedisClusterServers) -> None:
        self.servers = servers

    def master(self, namespace: str = NAMESPACE) -> RedisServer:
        """Return the master of the store in a namespace."""
        if isinstance(self.servers, RedisSentinel):
            return self.servers.master()
        return self.servers.master_of_slot(slot_of(namespace))

    def replica(self, namespace: str = NAMESPACE) -> RedisServer:
        """Return its replica."""
        of_it = self.servers.replicas
        if isinstance(self.servers, RedisClusterServers):
            of_it = self.servers.replicas_of(self.master(namespace))
        (replica,) = of_it
        return replica

    def hand_over(self) -> None:
        """Have the replica and the master change places while both live."""
        if isinstance(self.servers, RedisSentinel):
            self.servers.sentinels[0].command("SENTINEL", "FAILOVER", SERVICE)
        else:
            self.replica().command("CLUSTER", "FAILOVER", "TAKEOVER")

    async def replaced(self, old: RedisServer, namespace: str = NAMESPACE) -> None:
        """Return when another server has taken the place of `old`."""
        if isinstance(self.servers, RedisSentinel):
            await asyncio.to_thread(self.servers.wait_promoted, old)
        else:
            await asyncio.to_thread(self.servers.wait_replaced, old, slot_of(namespace))

    async def healed(self, dead: RedisServer | None = None) -> None:
        """Bring a dead server back, and wait until all is well."""
        if dead is not None:
            await asyncio.to_thread(self.servers.restart, dead)
        await asyncio.to_thread(self.servers.wait_healthy)


def slot_of(namespace: str) -> int:
    return key_slot(f"{{{namespace}:auth}}:meta".encode())


@pytest.fixture(scope="module", params=["sentinel", "cluster"])
def group(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    """Servers with a password; under Sentinels all speak TLS only."""
    folder = tmp_path_factory.mktemp(request.param)
    servers: RedisSentinel | RedisClusterServers
    if request.param == "sentinel":
        servers = RedisSentinel(folder, access=RedisAccess(PASSWORD, Certificate.make(folder / "tls")))
    else:
        servers = RedisClusterServers(folder, masters=3, replicas=1, access=RedisAccess(PASSWORD))
    try:
        servers.start()
        yield Group(servers)
    finally:
        servers.stop()


@contextmanager
def serving(group: Group, folder: Path, namespace: str, wait_replicas: int) -> Iterator[ServiceProcess]:
    """Run a service; neither token nor password is in its log at the end."""
    flags = {
        "data-dir": folder / "data",
        "store-timeout-s": STORE_TIMEOUT_S,
        "store-namespace": namespace,
        "store-wait-replicas": wait_replicas,
        "watch-checkpoint-s": 0.1,
    }
    variables = {
        "TIDEWIRE_MODE": "production",
        "TIDEWIRE_SERVICE_TOKEN": TOKEN,
        "TIDEWIRE_AUTH_PEPPER": "1:" + "p" * 40,
        "TIDEWIRE_AUTH_STORE_URL": group.servers.url,
    }
    process = ServiceProcess("auth_service", folder, flags, variables)
    process.start()
    try:
        yield process
        assert process.stop() == 0, process.log()[-2000:]
    finally:
        if process.running:
            process.kill9()
    for canary in (TOKEN, PASSWORD, "Traceback"):
        assert canary not in process.log()


@pytest.fixture(scope="module")
def service(group: Group, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service that confirms what a replica has."""
    with serving(group, tmp_path_factory.mktemp("auth"), NAMESPACE, 1) as process:
        yield process


@pytest.fixture
async def client(service: ServiceProcess) -> AsyncIterator[AuthClient]:
    async with client_of(service) as made:
        yield made


def client_of(service: ServiceProcess) -> AuthClient:
    return AuthClient(service.address, f"Bearer {TOKEN}")


@asynccontextmanager
async def opened(
    group: Group, namespace: str, wait_replicas: int = 0, url: str | None = None
) -> AsyncIterator[RedisKeyStore]:
    store = RedisKeyStore(
        parse_redis_address(url or group.servers.url),
        namespace=namespace,
        timeout_s=STORE_TIMEOUT_S,
        change_log_size=100,
        audit_log_size=100,
        wait_replicas=wait_replicas,
    )
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def to(state: KeyState) -> RecordChange:
    return lambda record: change_state(record, state, "", NOW_MS)


async def lose_change(group: Group, namespace: str, change: Awaitable[object]) -> RedisServer:
    """Make a change that the replica does not get, and kill the master, which is returned."""
    old, replica = group.master(namespace), group.replica(namespace)
    replica.freeze()
    try:
        old.command("CLIENT", "KILL", "TYPE", "replica")
        await change
        group.servers.kill9(old)
    finally:
        replica.thaw()
    return old


async def test_a_confirmed_revocation_outlives_the_master(group: Group, client: AuthClient) -> None:
    revoked, revoked_text = await client.create()
    good, good_text = await client.create()
    async with client.watch(good.revision) as watch:
        await client.revoke(revoked.key_id)
        assert await watch.changes(1) == [(revoked.key_id, "REVOKED")]
        old = group.master()
        group.servers.kill9(old)
        with refused("STORE_UNAVAILABLE"):
            await client.verify(good_text)
        await group.replaced(old)
        await eventually(lambda: is_valid(client, good_text), FOLLOWS_WITHIN_S, "the service asks the new master")
        assert_verdict(await client.verify(revoked_text), "REVOKED")
        with refused("STORE_UNAVAILABLE"):  # no replica is left
            await client.disable(good.key_id)
        assert "cut or replaced" in await watch.until_resync()  # changes that were not confirmed may be lost
    await group.healed(old)
    async with client.watch(0) as watch:
        await client.revoke(good.key_id)
        assert await watch.changes(1) == [(good.key_id, "REVOKED")]
    assert_verdict(await client.verify(revoked_text), "REVOKED")


async def test_a_master_that_hangs_is_left(group: Group, client: AuthClient) -> None:
    _, text = await client.create()
    old = group.master()
    old.freeze()
    try:
        await group.replaced(old)
        within_s = FOLLOWS_WITHIN_S + STORE_TIMEOUT_S
        await eventually(lambda: is_valid(client, text), within_s, "the service asks the new master")
    finally:
        old.thaw()
    await group.healed()
    _, text = await client.create()
    assert_verdict(await client.verify(text), "VALID")


async def test_what_is_confirmed_while_masters_change_places_is_kept(group: Group) -> None:
    async with opened(group, NAMESPACE, wait_replicas=1) as store:
        old, confirmed = group.master(), []
        group.hand_over()
        replaced = asyncio.create_task(group.replaced(old))
        while not replaced.done():
            try:
                confirmed.append((await store.create(a_record(secrets.token_hex(8)))).key_id)
            except StoreUnavailableError:
                continue
        await replaced
        await group.healed()
        assert (await store.create(a_record(secrets.token_hex(8)))).revision > len(confirmed) > 0
        assert None not in [await store.get(key_id) for key_id in confirmed]


async def test_a_change_that_too_few_replicas_have_is_no_success_and_may_be_lost(group: Group) -> None:
    namespace = secrets.token_hex(8)
    async with opened(group, namespace) as seeing, opened(group, namespace, wait_replicas=1) as careful:
        await careful.create(a_record("k1"))

        async def revoke_twice() -> None:
            for _ in range(2):  # that it is stored already makes it no more certain
                with pytest.raises(StoreUnavailableError, match="perhaps stored: 0 of 1 replicas have it"):
                    await careful.update("k1", to(KeyState.REVOKED))
            assert [change.code.name for change in await seeing.changes_since(1, 10)] == ["REVOKED"]

        old = await lose_change(group, namespace, revoke_twice())
        await group.replaced(old, namespace)
        found = await seeing.get("k1")
        assert found is not None
        assert found.state is KeyState.ACTIVE
        await seeing.create(a_record("k2"))
        with pytest.raises(RevisionGoneError, match="the log of changes begins at"):
            await seeing.changes_since(2, 10)
        await group.healed(old)
        assert (await careful.update("k1", to(KeyState.REVOKED))).state is KeyState.REVOKED


async def test_watchers_of_a_change_that_was_lost_must_resync(group: Group, tmp_path: Path) -> None:
    """Without `store_wait_replicas` a revocation is lost with the master that alone had it; nobody is left believing it."""
    namespace = secrets.token_hex(8)
    with serving(group, tmp_path, namespace, 0) as service:
        async with client_of(service) as client, opened(group, namespace, wait_replicas=1) as careful:
            key, text = await client.create()
            await careful.create(a_record("k1"))  # a replica that has this has the key
            async with client.watch(key.revision) as watch:

                async def revoke() -> None:
                    await client.revoke(key.key_id)
                    assert await watch.changes(2) == [("k1", "VALID"), (key.key_id, "REVOKED")]

                old = await lose_change(group, namespace, revoke())
                await group.replaced(old, namespace)
                assert "cut or replaced" in await watch.until_resync()
            assert_verdict(await client.verify(text), "VALID")
    await group.healed(old)


@pytest.mark.parametrize("group", ["cluster"], indirect=True)
async def test_a_slot_that_moves_holds_changes_up_and_loses_none(group: Group) -> None:
    cluster = group.servers
    assert isinstance(cluster, RedisClusterServers)
    namespace = secrets.token_hex(8)
    slot = slot_of(namespace)
    async with opened(group, namespace) as store:
        await store.create(a_record("k1"))
        source = cluster.master_of_slot(slot)
        target = next(master for master in cluster.masters if master is not source)
        cluster.begin_move(slot, target)
        cluster.move_keys(slot, target)
        assert await store.get("k1") is not None
        waiting = asyncio.create_task(store.create(a_record("k2")))
        await eventually(lambda: asyncio.to_thread(was_told_to_try_again, target))
        assert not waiting.done()
        cluster.finish_move(slot, target)
        second = await waiting
        assert [change.key_id for change in await store.changes_since(second.revision - 1, 10)] == ["k2"]
        assert await store.get("k1") is not None


def was_told_to_try_again(server: RedisServer) -> bool:
    """Return whether a server has refused a call for keys that it does not have yet."""
    return "errorstat_TRYAGAIN" in server.info("errorstats")


@pytest.mark.parametrize("group", ["cluster"], indirect=True)
async def test_one_server_that_turns_out_to_be_of_a_cluster_leads_to_all(group: Group) -> None:
    for server in group.servers.servers:
        async with opened(group, secrets.token_hex(8), url=server.url) as store:
            await store.create(a_record("k1"))
            assert await store.get("k1") is not None


async def test_servers_named_first_may_be_dead(group: Group) -> None:
    url = group.servers.url.replace("127.0.0.1", "127.0.0.1:1,127.0.0.1", 1)
    async with opened(group, secrets.token_hex(8), url=url) as store:
        assert await store.get("k1") is None


@pytest.mark.parametrize("group", ["sentinel"], indirect=True)
async def test_sentinels_that_cannot_help_are_named_without_the_password(group: Group) -> None:
    for url, why in (
        (group.servers.url.replace(f"/{SERVICE}", "/other"), "does not know the service other"),
        (
            group.servers.url.replace(f"sentinel_password={PASSWORD}", "sentinel_password=wrong-word"),
            "invalid username",
        ),
        (
            group.servers.url.replace("rediss", "redis").replace("ssl_ca_certs", "sentinel_username"),
            "no master is known",
        ),
    ):
        with pytest.raises(StoreUnavailableError, match=why) as refusal:
            async with opened(group, NAMESPACE, url=url):
                pytest.fail("it was opened")
        assert not [word for word in (PASSWORD, "wrong-word") if word in str(refusal.value)]


@pytest.mark.parametrize("group", ["sentinel"], indirect=True)
async def test_while_no_sentinel_answers_the_master_that_is_known_is_asked(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(group.servers, RedisSentinel)
    async with opened(group, secrets.token_hex(8)) as store:
        monkeypatch.setattr(redis_master, "LOOK_AGAIN_S", 0.0)
        for sentinel in group.servers.sentinels:
            sentinel.freeze()
        try:
            for number in range(2):
                await store.create(a_record(f"k{number}"))
        finally:
            for sentinel in group.servers.sentinels:
                sentinel.thaw()
        assert await store.revision() == 2


async def test_a_master_that_was_demoted_sends_the_change_to_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator makes the replica the master, and no connection breaks: the old one only refuses to write."""
    monkeypatch.setattr(redis_master, "LOOK_AGAIN_S", 3600.0)
    servers = RedisSentinel(tmp_path, sentinels=1)
    try:
        servers.start()
        async with opened(Group(servers), NAMESPACE) as store:
            await store.create(a_record("k1"))
            old, new = servers.servers
            (sentinel,) = servers.sentinels
            sentinel.command("SENTINEL", "REMOVE", SERVICE)
            new.command("REPLICAOF", "NO", "ONE")
            old.command("REPLICAOF", "127.0.0.1", new.port)
            sentinel.command("SENTINEL", "MONITOR", SERVICE, "127.0.0.1", new.port, 1)
            await store.create(a_record("k2"))
            assert new.command("HEXISTS", f"{{{NAMESPACE}:auth}}:records", "k2") == 1
    finally:
        servers.stop()


async def is_valid(client: AuthClient, text: str) -> bool:
    """Return whether the service can say that a key is good."""
    try:
        return code_name((await client.verify(text)).code) == "VALID"
    except grpc.aio.AioRpcError:
        return False
