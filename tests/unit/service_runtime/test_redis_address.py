"""Where a Redis is: what each form of URL means, and that no other form is taken for one."""

from __future__ import annotations

import pytest
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection

from service_runtime.redis_address import Node, Topology, is_redis_url, parse_redis_address


def test_one_server() -> None:
    address = parse_redis_address("redis://user:p%40ss@[::1]:1/2")
    assert (address.topology, address.nodes, address.tls) == (Topology.SINGLE, (Node("::1", 1),), False)
    assert address.options == {"username": "user", "password": "p@ss", "db": 2}
    assert address.shown == "redis://[::1]:1"
    assert "p@ss" not in repr(address)
    assert parse_redis_address("redis://h").nodes == (Node("h", 6379),)
    assert parse_redis_address("redis://:pw@h").options == {"password": "pw"}


def test_tls_with_certificates() -> None:
    address = parse_redis_address("rediss://h?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem")
    assert address.tls
    assert address.options == {"ssl_ca_certs": "/ca.pem", "ssl_certfile": "/c.pem", "ssl_keyfile": "/k.pem"}
    assert isinstance(address.connection(), SSLConnection)


def test_unix_socket() -> None:
    address = parse_redis_address("unix://:pw@/run/redis%20a?db=3")
    assert (address.path, address.options) == ("/run/redis a", {"password": "pw", "db": 3})
    assert address.shown == "unix:///run/redis a"
    connection = address.connection()
    assert isinstance(connection, UnixDomainSocketConnection)
    assert connection.path == "/run/redis a"


def test_sentinels() -> None:
    address = parse_redis_address("redis+sentinel://u:pw@a:1,b/mymaster/4?sentinel_password=spw")
    assert (address.topology, address.nodes) == (Topology.SENTINEL, (Node("a", 1), Node("b", 26379)))
    assert (address.service, address.options["db"]) == ("mymaster", 4)
    assert address.sentinel_options == {"password": "spw"}
    assert address.shown == "redis+sentinel://a:1,b:26379/mymaster"
    sentinel = address.sentinel_connection(Node("b", 26379))
    assert isinstance(sentinel, Connection)
    assert (sentinel.host, sentinel.port, sentinel.password) == ("b", 26379, "spw")


def test_cluster() -> None:
    address = parse_redis_address("rediss+cluster://:pw@a:1,b?ssl_ca_certs=/ca.pem")
    assert (address.topology, address.nodes, address.tls) == (Topology.CLUSTER, (Node("a", 1), Node("b", 6379)), True)
    assert address.shown == "rediss+cluster://a:1,b:6379"
    connection = address.connection(Node("c", 7), socket_timeout=3.0)
    assert isinstance(connection, SSLConnection)
    assert (connection.host, connection.port, connection.password, connection.socket_timeout) == ("c", 7, "pw", 3.0)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        *((url, "must be redis://") for url in ("", "x", "http://h", "redis+x://h", "sqlite:///a")),
        *((url, "names no host") for url in ("redis://", "redis+cluster://a,,b", "redis://:pa@ss@")),
        *((url, "names one server") for url in ("redis://a,b",)),
        *((url, "number") for url in ("redis://h/x", "redis+sentinel://a/s/x", "unix:///a?db=x")),
        *((url, "after the host") for url in ("redis://h/1/2", "redis+cluster://h/1", "redis+sentinel://a/s/1/2")),
        *((url, "must name the service") for url in ("redis+sentinel://a", "redis+sentinel://a/%20")),
        *((url, "unix:///path") for url in ("unix://", "unix:///", "unix://h/a")),
        *((url, "option x is not known") for url in ("redis://h?x=1", "unix:///a?x=1", "redis+cluster://h?x=1")),
        ("redis://h?ssl_ca_certs=/ca.pem", "option ssl_ca_certs is not known"),
        *((url, "port must be a number") for url in ("redis://h:0", "redis://h:x", "redis://user:secret/pw@h")),
        ("redis://:secret/pw@h", "names no host"),
        *((url, "cannot be read") for url in ("redis://:[secret]@h", "redis://:x@[secret]", "redis://:secret\u2100@h")),
        ("redis://:p@x?secret=1@h", "has a @ after the host"),
    ],
)
def test_everything_else_is_refused_with_the_reason(url: str, why: str) -> None:
    assert not is_redis_url(url)
    with pytest.raises(ValueError) as refused:
        parse_redis_address(url)
    assert why in str(refused.value)
    assert "secret" not in str(refused.value)


def test_is_redis_url() -> None:
    assert is_redis_url("redis://h")
