"""A real Redis with replicas and Sentinels: the master is killed, and a replica takes its place."""

from __future__ import annotations

from pathlib import Path

from redis.exceptions import RedisError

from tests.support.redis_access import RedisAccess
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

SERVICE = "mymaster"
HEALTHY_DEADLINE_S = 60.0
PROMOTION_DEADLINE_S = 40.0
# Time after which Sentinels that could not agree try again.
_FAILOVER_TIMEOUT_MS = 5_000
_INFO_PERIOD_MS = 500
_PUBLISH_PERIOD_MS = 250


class RedisSentinel:
    """A master, its replicas, and Sentinels that watch them. `start` it, `stop` it.

    Args:
        directory: For the files of all.
        replicas: Of the master.
        sentinels: How many; most of them must agree.
        down_after_ms: Silence after which a Sentinel says that a server is gone; a promotion then takes about a second.
        options: More lines of every server's configuration.
        access: TLS and password of all; the Sentinels have the same.
    """

    def __init__(
        self,
        directory: Path,
        replicas: int = 1,
        sentinels: int = 3,
        down_after_ms: int = 1_000,
        options: dict[str, str] | None = None,
        access: RedisAccess | None = None,
    ) -> None:
        self.access = access or RedisAccess()
        lines = {"repl-diskless-sync-delay": "0", **(options or {})}
        self.servers = [
            RedisServer(directory / f"server-{number}", lines, self.access) for number in range(1 + replicas)
        ]
        first, *others = self.servers
        for server in others:
            server.options = {**server.options, "replicaof": f"127.0.0.1 {first.port}"}
        self.sentinels = [
            _Sentinel(directory / f"sentinel-{number}", first.port, sentinels // 2 + 1, down_after_ms, self.access)
            for number in range(sentinels)
        ]

    @property
    def url(self) -> str:
        """Its URL, with every Sentinel."""
        places = ",".join(sentinel.place for sentinel in self.sentinels)
        password = f"sentinel_password={self.access.password}" if self.access.password else ""
        return self.access.url(places, kind="+sentinel", path=f"/{SERVICE}", options=password)

    @property
    def replicas(self) -> list[RedisServer]:
        """The servers that are replicas now, and run."""
        return [server for server in self._running if server.info("replication")["role"] == "slave"]

    def start(self) -> None:
        """Start the servers, then the Sentinels, and return when all is healthy."""
        for server in self.servers:
            server.start()
        for sentinel in self.sentinels:
            sentinel.start()
        self.wait_healthy()

    def stop(self) -> None:
        """End every process; idempotent."""
        for process in (*self.sentinels, *self.servers):
            if process.running:
                process.kill9()

    def master(self) -> RedisServer:
        """Return the master, as most of the running Sentinels have it."""
        views = self._views()
        port = max(views, key=views.count)
        return next(server for server in self.servers if server.port == port)

    def kill_master(self) -> RedisServer:
        """End the master as a crash does, and return it."""
        master = self.master()
        master.kill9()
        return master

    def wait_promoted(self, old: RedisServer) -> RedisServer:
        """Return the master that has taken the place of `old`, when all running Sentinels name it."""

        def promoted() -> bool:
            views = set(self._views())
            if len(views) != 1 or old.port in views:
                return False
            return self.master().info("replication")["role"] == "master"

        wait_until(promoted, PROMOTION_DEADLINE_S, "a replica was promoted")
        return self.master()

    def restart(self, server: RedisServer) -> None:
        """Bring a server back with what was on its disk; the Sentinels make it a replica of who took its place."""
        server.restart()

    def wait_healthy(self) -> None:
        """Return when every running replica is online, and every Sentinel sees it and the other Sentinels."""
        wait_until(self._healthy, HEALTHY_DEADLINE_S, "the Sentinels see a master with its replicas")

    @property
    def _running(self) -> list[RedisServer]:
        return [server for server in self.servers if server.running]

    def _views(self) -> list[int]:
        running = [sentinel for sentinel in self.sentinels if sentinel.running]
        return [int(sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1]) for sentinel in running]

    def _replicated(self) -> bool:
        info = self.master().info("replication")
        links = [info[f"slave{number}"] for number in range(int(info.get("connected_slaves", 0)))]
        return len(links) == len(self._running) - 1 and all("state=online" in link for link in links)

    def _healthy(self) -> bool:
        try:
            return self._replicated() and all(
                sentinel.sees(len(self._running) - 1, len(self.sentinels) - 1)
                for sentinel in self.sentinels
                if sentinel.running
            )
        except RedisError:  # one that still loads what was on its disk
            return False


class _Sentinel(RedisServer):
    """One Sentinel; what it learns it writes into its configuration."""

    def __init__(self, directory: Path, master_port: int, quorum: int, down_after_ms: int, access: RedisAccess) -> None:
        super().__init__(directory, access=access)
        self._lines = [
            f"sentinel monitor {SERVICE} 127.0.0.1 {master_port} {quorum}",
            f"sentinel down-after-milliseconds {SERVICE} {down_after_ms}",
            f"sentinel failover-timeout {SERVICE} {_FAILOVER_TIMEOUT_MS}",
        ]
        if access.password:
            self._lines += [
                f"sentinel auth-pass {SERVICE} {access.password}",
                f"sentinel sentinel-pass {access.password}",
            ]

    def arguments(self) -> list[str]:
        """Return its configuration, written when there is none yet."""
        configuration = self.directory / "sentinel.conf"
        if not configuration.exists():
            listening = {"bind": "127.0.0.1", "dir": str(self.directory), **self.access.listening(self.port)}
            listening.pop("masterauth", None)
            lines = [f'{name} "{value}"' for name, value in listening.items()] + self._lines
            configuration.write_text("\n".join(lines) + "\n")
        return [str(configuration), "--sentinel"]

    def start(self) -> None:
        """Start it, and have it look often: the ten seconds that it else takes to see a change are long for a test."""
        super().start()
        self.command("SENTINEL", "DEBUG", "info-period", _INFO_PERIOD_MS, "publish-period", _PUBLISH_PERIOD_MS)

    def sees(self, replicas: int, sentinels: int) -> bool:
        """Return whether it finds the master well, and so many replicas and other Sentinels."""
        state = _pairs(self.command("SENTINEL", "MASTER", SERVICE))
        links = [_pairs(replica) for replica in self.command("SENTINEL", "REPLICAS", SERVICE)]
        well = [link for link in links if link["flags"] == "slave" and link["master-link-status"] == "ok"]
        return state["flags"] == "master" and len(well) == replicas and int(state["num-other-sentinels"]) == sentinels


def _pairs(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))
