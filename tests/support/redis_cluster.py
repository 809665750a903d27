"""A real Redis Cluster of several servers: joined, killed, healed, and with slots that move."""

from __future__ import annotations

from pathlib import Path

from redis.crc import key_slot
from redis.exceptions import RedisError

from tests.support.ports import free_port
from tests.support.redis_access import RedisAccess
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

SLOTS = 16_384
HEALTHY_DEADLINE_S = 40.0
_MIGRATE_TIMEOUT_MS = 5_000
_KEYS_AT_ONCE = 100


class RedisClusterServers:
    """Servers that share the slots of one Cluster. `start` it, `stop` it.

    Args:
        directory: For the files of all.
        masters: Servers that hold slots at first; 3 at least to outlive the loss of one.
        replicas: Of each master.
        options: More lines of every server's configuration.
        access: TLS and password of all.
        node_timeout_ms: Silence after which the others say that a server is gone; a replica then takes about a second.
    """

    def __init__(
        self,
        directory: Path,
        masters: int = 3,
        replicas: int = 0,
        options: dict[str, str] | None = None,
        access: RedisAccess | None = None,
        node_timeout_ms: int = 2_000,
    ) -> None:
        self.access = access or RedisAccess()
        self._count = masters
        lines = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(node_timeout_ms),
            # A replica takes over however long it has been without its master, and is in sync without delay.
            "cluster-replica-validity-factor": "0",
            "repl-diskless-sync-delay": "0",
            **({"tls-cluster": "yes"} if self.access.certificate else {}),
            **(options or {}),
        }
        self.servers = [
            RedisServer(directory / f"node-{number}", {**lines, "cluster-port": str(free_port())}, self.access)
            for number in range(masters * (1 + replicas))
        ]

    @property
    def url(self) -> str:
        """Its URL, with every server as a seed."""
        return self.access.url(",".join(server.place for server in self.servers), kind="+cluster")

    @property
    def masters(self) -> list[RedisServer]:
        """The servers that are masters now, and answer."""
        return [server for server in self._answering if _role(server) == "master"]

    @property
    def replicas(self) -> list[RedisServer]:
        """The servers that are replicas now, and answer."""
        return [server for server in self._answering if _role(server) == "slave"]

    def start(self) -> None:
        """Start the servers, join them, and return when the Cluster is healthy."""
        for server in self.servers:
            server.launch()
        for server in self.servers:
            server.wait_ready()
        self._join()
        self.wait_healthy()

    def stop(self) -> None:
        """End every server; idempotent."""
        for server in self.servers:
            if server.running:
                server.kill9()

    def kill9(self, server: RedisServer) -> None:
        """End a server as a crash does."""
        server.kill9()

    def restart(self, server: RedisServer) -> None:
        """Bring a server back, with what was on its disk; it may find itself a replica of who took its place."""
        server.restart()

    def master_of(self, key: str) -> RedisServer:
        """Return the server that holds a key's slot now."""
        return self.master_of_slot(key_slot(key.encode()))

    def master_of_slot(self, slot: int) -> RedisServer:
        """Return the server that holds a slot now, as most of the running ones have it."""
        views = [_holder(server, slot) for server in self._answering]
        port = max(views, key=views.count)
        return next(server for server in self.servers if server.port == port)

    def replicas_of(self, master: RedisServer) -> list[RedisServer]:
        """Return the running replicas of a master."""
        return [server for server in self.replicas if server.info("replication")["master_port"] == str(master.port)]

    def wait_replaced(self, old: RedisServer, slot: int) -> RedisServer:
        """Return the server that has taken a slot over from a dead one, when all running ones agree."""

        def replaced() -> bool:
            views = {_holder(server, slot) for server in self._answering}
            return len(views) == 1 and views != {old.port} and self._all_ok()

        wait_until(replaced, HEALTHY_DEADLINE_S, "another server holds the slot")
        return self.master_of_slot(slot)

    def wait_healthy(self) -> None:
        """Return when every running server says that the Cluster is, and every replica is in sync."""
        wait_until(self._healthy, HEALTHY_DEADLINE_S, "the Cluster is healthy")

    def move_slot(self, slot: int, to: RedisServer) -> None:
        """Move a slot with its keys to another master, while clients go on."""
        self.begin_move(slot, to)
        self.move_keys(slot, to)
        self.finish_move(slot, to)

    def begin_move(self, slot: int, to: RedisServer) -> None:
        """Announce that a slot moves to another master."""
        source = self.master_of_slot(slot)
        to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(to))

    def move_keys(self, slot: int, to: RedisServer) -> None:
        """Move the keys of a slot that is being moved; until `finish_move` clients are sent on for each."""
        source = self.master_of_slot(slot)
        password = ["AUTH", self.access.password] if self.access.password else []
        while keys := source.command("CLUSTER", "GETKEYSINSLOT", slot, _KEYS_AT_ONCE):
            source.command("MIGRATE", "127.0.0.1", to.port, "", 0, _MIGRATE_TIMEOUT_MS, *password, "KEYS", *keys)

    def finish_move(self, slot: int, to: RedisServer) -> None:
        """Say who holds a slot now: the new holder first, as the manual has it."""
        for server in (to, *[master for master in self.masters if master is not to]):
            server.command("CLUSTER", "SETSLOT", slot, "NODE", _id(to))
        wait_until(
            lambda: {_holder(server, slot) for server in self._answering} == {to.port}, what="the slot has moved"
        )

    @property
    def _answering(self) -> list[RedisServer]:
        return [server for server in self.servers if server.answering]

    def _join(self) -> None:
        masters, replicas = self.servers[: self._count], self.servers[self._count :]
        for number, server in enumerate(masters):
            begin, end = (SLOTS * place // len(masters) for place in (number, number + 1))
            server.command("CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
            server.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        first, *others = self.servers
        for server in others:
            server.command("CLUSTER", "MEET", "127.0.0.1", first.port, first.options["cluster-port"])
        wait_until(self._all_know_all, HEALTHY_DEADLINE_S, "all servers know each other")
        for number, server in enumerate(replicas):
            server.command("CLUSTER", "REPLICATE", _id(masters[number % len(masters)]))

    def _all_know_all(self) -> bool:
        everyone = {_id(server) for server in self.servers}
        return all(
            {line.split()[0] for line in _nodes(server) if "handshake" not in line} == everyone
            for server in self.servers
        )

    def _all_ok(self) -> bool:
        return all("cluster_state:ok" in server.command("CLUSTER", "INFO") for server in self._answering)

    def _healthy(self) -> bool:
        try:
            return self._all_ok() and all(_in_sync(server) for server in self._answering)
        except RedisError:  # one that still loads what was on its disk
            return False


def _in_sync(server: RedisServer) -> bool:
    """Return whether a server is a master whose replicas are online, or a replica with a link to its master."""
    info = server.info("replication")
    if info["role"] == "slave":
        return info["master_link_status"] == "up"
    links = [info[f"slave{number}"] for number in range(int(info["connected_slaves"]))]
    known = [line for line in _nodes(server) if line.split()[3] == _id(server) and "fail" not in line]
    return len(links) == len(known) and all("state=online" in link for link in links)


def _role(server: RedisServer) -> str:
    return server.info("replication")["role"]


def _id(server: RedisServer) -> str:
    return str(server.command("CLUSTER", "MYID"))


def _nodes(server: RedisServer) -> list[str]:
    """Return the lines of `CLUSTER NODES`."""
    return str(server.command("CLUSTER", "NODES")).splitlines()


def _holder(server: RedisServer, slot: int) -> int | None:
    """Return the port of the server that holds a slot, as a server sees it."""
    for first, last, master, *_ in server.command("CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return int(master[1])
    return None
