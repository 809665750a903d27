"""The Redis topologies that other tests run on: they come up, fail over, and heal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis, RedisCluster
from redis.exceptions import AuthenticationError, ConnectionError, ResponseError

from tests.support.redis_access import Certificate, RedisAccess
from tests.support.redis_cluster import RedisClusterServers
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> RedisAccess:
    return RedisAccess("test-password", Certificate.make(tmp_path_factory.mktemp("tls")))


@pytest.fixture(scope="module", params=["plain", "tls"])
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, access: RedisAccess
) -> Iterator[RedisClusterServers]:
    servers = RedisClusterServers(
        tmp_path_factory.mktemp("cluster"), masters=3, replicas=1, access=access if request.param == "tls" else None
    )
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture(params=["plain", "tls"])
def sentinel(request: pytest.FixtureRequest, tmp_path: Path, access: RedisAccess) -> Iterator[RedisSentinel]:
    servers = RedisSentinel(tmp_path, access=access if request.param == "tls" else None)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def test_a_cluster_replaces_a_dead_master_and_takes_it_back(cluster: RedisClusterServers) -> None:
    assert (len(cluster.masters), len(cluster.replicas)) == (3, 3)
    old = cluster.master_of("key")
    with RedisCluster.from_url(cluster.servers[0].url) as client:
        client.set("key", "kept")
        assert client.wait(1, 5_000, target_nodes=client.get_node(port=old.port, host="127.0.0.1")) == 1
    cluster.kill9(old)
    new = cluster.wait_replaced(old, client.keyslot("key"))
    assert new.command("GET", "key") == "kept"
    cluster.restart(old)
    cluster.wait_healthy()
    assert cluster.replicas_of(new) == [old]


def test_a_slot_moves_to_another_master_with_its_keys(cluster: RedisClusterServers) -> None:
    old = cluster.master_of("key")
    old.command("SET", "key", "kept")
    new = next(master for master in cluster.masters if master is not old)
    cluster.move_slot(int(old.command("CLUSTER", "KEYSLOT", "key")), new)
    assert cluster.master_of("key") is new
    assert new.command("GET", "key") == "kept"
    with pytest.raises(ResponseError, match=f"127.0.0.1:{new.port}"):
        old.command("GET", "key")


def test_sentinels_promote_a_replica_and_take_the_old_master_back(sentinel: RedisSentinel) -> None:
    with Redis.from_url(sentinel.master().url) as client:
        client.set("key", "kept")
        assert client.wait(1, 5_000) == 1
    old = sentinel.kill_master()
    new = sentinel.wait_promoted(old)
    assert new.command("GET", "key") == "kept"
    sentinel.restart(old)
    sentinel.wait_healthy()
    assert sentinel.replicas == [old]


def test_a_server_with_tls_and_password_answers_those_who_have_both(tmp_path: Path, access: RedisAccess) -> None:
    socket = tmp_path / "redis.sock"
    server = RedisServer(tmp_path / "redis", {"unixsocket": str(socket)}, access)
    server.start()
    try:
        for url in (server.url, server.unix_url):
            with Redis.from_url(url) as client:
                assert client.ping()
        with Redis.from_url(server.url.replace("test-password", "wrong")) as client, pytest.raises(AuthenticationError):
            client.ping()
        with Redis.from_url(RedisAccess("test-password").url(server.place)) as client, pytest.raises(ConnectionError):
            client.ping()
    finally:
        server.stop()
