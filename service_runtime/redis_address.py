"""Where a Redis is, by URL: one server, a Sentinel group, or a Cluster.

`redis://[user:password@]host[:port][/database]`, `rediss://` for TLS, `unix://[user:password@]/path[?db=N]`;
`redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/database]`;
`redis+cluster://[user:password@]host[:port][,host[:port]...]`; the last two with TLS as `rediss+...`. Special characters of a
password are written as %XX, so that each URL can be read in one way only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection

DEFAULT_PORT: Final = 6379
DEFAULT_SENTINEL_PORT: Final = 26379
FORMS: Final = (
    "redis://host:port, rediss://host:port, unix:///path, redis+sentinel://host:port,host:port/service"
    " or redis+cluster://host:port,host:port"
)

_TLS_OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_SENTINEL_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})
_SERVICE: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)


class Topology(Enum):
    """How many servers there are behind an address, and how the one to ask is found."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Node(NamedTuple):
    """A server that listens on TCP."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A parsed URL.

    Args:
        topology: What is at `nodes`.
        nodes: The server; the Sentinels; servers of the Cluster to begin with. Empty for a Unix socket.
        path: The Unix socket; else empty.
        service: The name that the Sentinels know the servers by; else empty.
        tls: Connections are encrypted, those to Sentinels too.
        options: Arguments of redis-py's connections: who we are, the database, certificates.
        sentinel_options: The same for connections to Sentinels.
    """

    topology: Topology
    nodes: tuple[Node, ...]
    path: str
    service: str
    tls: bool
    options: Mapping[str, Any] = field(repr=False)
    sentinel_options: Mapping[str, Any] = field(repr=False)

    @property
    def shown(self) -> str:
        """Where it is, for people: without password and options."""
        if self.path:
            return f"unix://{self.path}"
        scheme = ("rediss" if self.tls else "redis") + ("" if self.topology is Topology.SINGLE else f"+{self._kind}")
        places = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.nodes)
        return f"{scheme}://{places}" + (f"/{self.service}" if self.service else "")

    @property
    def _kind(self) -> str:
        return self.topology.value

    def connection(self, node: Node | None = None, **more: Any) -> AbstractConnection:
        """Return a connection, not yet made, to a server.

        Args:
            node: The server; None: the one that the URL names.
            more: Further arguments of redis-py's connections.
        """
        if self.path:
            return UnixDomainSocketConnection(path=self.path, **{**self.options, **more})
        return self._over_tcp(node or self.nodes[0], self.options, more)

    def sentinel_connection(self, node: Node, **more: Any) -> AbstractConnection:
        """Return a connection, not yet made, to a Sentinel."""
        return self._over_tcp(node, self.sentinel_options, more)

    def _over_tcp(self, node: Node, options: Mapping[str, Any], more: Mapping[str, Any]) -> AbstractConnection:
        kind = SSLConnection if self.tls else Connection
        return kind(host=node.host, port=node.port, **{**options, **more})


def parse_redis_address(url: str) -> RedisAddress:
    """Read a URL.

    Raises:
        ValueError: it is not one of the forms above, or has an option that is not known; says which, and never shows a secret.
    """
    parts = _split(url)
    scheme, _, kind = parts.scheme.partition("+")
    if parts.scheme == "unix":
        return _unix(parts)
    if scheme not in ("redis", "rediss") or kind not in ("", "sentinel", "cluster"):
        raise ValueError(f"must be {FORMS}")
    topology = Topology(kind or "single")
    tls = scheme == "rediss"
    credentials, _, places = parts.netloc.rpartition("@")
    default_port = DEFAULT_SENTINEL_PORT if topology is Topology.SENTINEL else DEFAULT_PORT
    nodes = tuple(_node(place, default_port) for place in places.split(","))
    if topology is Topology.SINGLE and len(nodes) != 1:
        raise ValueError("redis:// names one server; several are redis+sentinel:// or redis+cluster://")
    words = [word for word in parts.path.split("/") if word]
    service = _service(words) if topology is Topology.SENTINEL else ""
    if len(words) > (0 if topology is Topology.CLUSTER else 1) or parts.fragment:
        raise ValueError(f"has too much after the host: must be {FORMS}")
    options = _options(parts, (_TLS_OPTIONS if tls else frozenset()) | (_SENTINEL_OPTIONS if service else frozenset()))
    certificates = {name: value for name, value in options.items() if name in _TLS_OPTIONS}
    sentinel = {name.removeprefix("sentinel_"): options[name] for name in _SENTINEL_OPTIONS & options.keys()}
    who = _credentials(credentials) | ({"db": _database(words[0])} if words else {})
    return RedisAddress(topology, nodes, "", service, tls, who | certificates, sentinel | certificates)


def is_redis_url(url: str) -> bool:
    """Return whether a URL names a Redis, and can only be read in one way, whatever its password."""
    try:
        parse_redis_address(url)
    except ValueError:
        return False
    return True


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
    except ValueError:  # its words would show what stands between brackets, which may be part of a password
        raise ValueError(f"cannot be read: must be {FORMS}") from None
    if "@" in parts.query:  # then a password was cut in two, and the name of an option may be part of it
        raise ValueError(f"has a @ after the host: must be {FORMS}")
    return parts


def _unix(parts: SplitResult) -> RedisAddress:
    credentials, _, host = parts.netloc.rpartition("@")
    if host or len(parts.path) < 2 or parts.fragment:
        raise ValueError("a Unix socket is unix:///path")
    options = _options(parts, frozenset({"db"}))
    who = _credentials(credentials) | ({"db": _database(options["db"])} if "db" in options else {})
    return RedisAddress(Topology.SINGLE, (), unquote(parts.path), "", False, who, {})


def _node(place: str, default_port: int) -> Node:
    parts = _split(f"//{place}")
    if not parts.hostname or parts.netloc != place or parts.path or "@" in place:
        raise ValueError(f"names no host: must be {FORMS}")
    try:
        port = default_port if parts.port is None else parts.port
    except ValueError:  # its words would show part of a password that was not written as %XX
        port = 0
    if not port:
        raise ValueError("a port must be a number from 1 to 65535")
    return Node(parts.hostname, port)


def _service(words: list[str]) -> str:
    if not words or _SERVICE.fullmatch(words[0]) is None:
        raise ValueError("redis+sentinel:// must name the service after the Sentinels, as in /mymaster")
    return words.pop(0)


def _database(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise ValueError("the database must be a number")
    return int(word)


def _credentials(text: str) -> dict[str, Any]:
    if not text:
        return {}
    username, colon, password = text.partition(":")
    found = {"username": unquote(username) or None, "password": unquote(password) if colon else None}
    return {name: value for name, value in found.items() if value is not None}


def _options(parts: SplitResult, allowed: frozenset[str]) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = options.keys() - allowed
    if unknown:
        known = ", ".join(sorted(allowed)) or "none"
        raise ValueError(f"option {min(unknown)} is not known; known for this kind of URL: {known}")
    return options
