"""Tidewire itself: the real services by the product's own launcher, in production mode, with authenticated clients."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, ClassVar, Final

from benchmarks.load.plan import Client, Expect, Frame, message_id
from benchmarks.peers.base import Peer, free_port, listens
from tidewire_client.key_admin import KeyAdmin

_ROOT: Final = Path(__file__).resolve().parents[2]
_SERVICES: Final = ("auth", "session", "edge")
_NO_LIMIT: Final = "1000000000"
# The limits stay in the message's way; they are set so high that one publisher may use the whole server.
_SETTINGS: Final = {
    "TIDEWIRE_LOG_LEVEL": "warning",
    "TIDEWIRE_EDGE_FRAMES_PER_SECOND": "1000000",
    "TIDEWIRE_EDGE_FRAMES_BURST": "1000000",
    "TIDEWIRE_EDGE_BYTES_PER_SECOND": _NO_LIMIT,
}


class Tidewire(Peer):
    """Auth, session and edge on SQLite files."""

    name: ClassVar[str] = "tidewire"
    publisher_is_member: ClassVar[bool] = True
    confirms: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._roots: dict[str, int] = {}
        self._edge_ports: list[int] = []
        self._keys: Sequence[str] = ()

    def missing(self) -> str | None:
        """See `Peer.missing`."""
        return None

    def version(self) -> str:
        """See `Peer.version`."""
        return f"Tidewire {installed_version('tidewire')} on Python {sys.version.split()[0]}"

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Peer.start`."""
        self._start_services(directory, [])
        self._make_keys(identities)

    def stop(self) -> None:
        """See `Peer.stop`."""
        super().stop()
        self._roots.clear()
        self._edge_ports.clear()

    def subscriber(self, number: int, channels: Sequence[str]) -> Client:
        """See `Peer.subscriber`."""
        joins = [step for channel in channels for step in _join(channel)]
        key = self._keys[number % len(self._keys)]
        port = self._edge_ports[number % len(self._edge_ports)]
        return Client(port, f"/client_b{number}", (*_connect(key), *joins))

    def publisher(self, number: int, channel: str) -> Client:
        """See `Peer.publisher`."""
        return self.subscriber(number, [channel])

    def message(self, channel: str, text: str) -> Frame:
        """See `Peer.message`."""
        return _frame({"type": "chat_message", "id": message_id(), "channel": channel, "data": {"content": text}})

    def parts(self) -> Mapping[str, int]:
        """See `Peer.parts`."""
        return self._roots

    def _start_services(self, directory: Path, arguments: Sequence[str]) -> None:
        self._token = secrets.token_urlsafe(32)
        ours = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWIRE_")}
        self._variables = {**ours, **_SETTINGS, "TIDEWIRE_SERVICE_TOKEN": self._token}
        ports = [word for name in _SERVICES for word in (f"--{name}-port", "0")]
        launcher = [sys.executable, str(_ROOT / "scripts" / "run_server.py"), "--this-python", *ports]
        data = directory / "data"
        process = self._launch([*launcher, "--data-dir", str(data), *arguments], directory, self._variables)
        self._roots["launcher"] = process.pid
        for name in _SERVICES:
            self._wait((data / f"{name}.ready").exists, directory, f"{name} listening")
        facts = {name: json.loads((data / f"{name}.ready").read_text()) for name in _SERVICES}
        self._roots |= {name: int(facts[name]["pid"]) for name in _SERVICES}
        self._targets = {name: f"127.0.0.1:{facts[name]['port']}" for name in _SERVICES}
        self._add_edge(int(facts["edge"]["port"]), directory)

    def _add_edge(self, port: int, directory: Path) -> None:
        """Count an edge in, when it can deliver."""
        self._wait(lambda: _delivers(port), directory, "a message goes round")
        self._edge_ports.append(port)

    def _make_keys(self, count: int) -> None:
        self._keys = asyncio.run(_keys(self._targets["auth"], self._token, count))


class TidewireTwoEdges(Tidewire):
    """Two edges on one auth and one session service, on a Redis that writes each change to the disk at once."""

    name: ClassVar[str] = "tidewire-2-edges-redis"
    apart: ClassVar[frozenset[str]] = frozenset({"redis"})

    def missing(self) -> str | None:
        """See `Peer.missing`."""
        return None if shutil.which("redis-server") else "redis-server (Debian package redis-server)"

    def version(self) -> str:
        """See `Peer.version`."""
        return f"{super().version()}, two edges, Redis with appendfsync always"

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Peer.start`."""
        port = free_port()
        words = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
        redis = self._launch(["redis-server", *words, "--appendonly", "yes", "--appendfsync", "always"], directory)
        self._wait(lambda: listens(port), directory, "redis listening")
        self._start_services(directory, ["--redis", f"redis://127.0.0.1:{port}"])
        self._roots["redis"] = redis.pid
        self._start_second_edge(directory)
        self._make_keys(identities)

    def _start_second_edge(self, directory: Path) -> None:
        ready_file = directory / "edge-2.ready"
        flags = {
            "port": "0",
            "mode": "production",
            "auth-target": self._targets["auth"],
            "session-target": self._targets["session"],
            "ready-file": str(ready_file),
        }
        path = os.pathsep.join([str(_ROOT), str(_ROOT / "protos")])
        words = [word for name, value in flags.items() for word in (f"--{name}", value)]
        edge = self._launch(
            [sys.executable, "-P", "-m", "ws_edge", *words], directory, {**self._variables, "PYTHONPATH": path}
        )
        self._wait(ready_file.exists, directory, "the second edge listening")
        self._add_edge(int(json.loads(ready_file.read_text())["port"]), directory)
        self._roots["edge-2"] = edge.pid


async def _keys(target: str, token: str, count: int) -> list[str]:
    async with KeyAdmin(target, token=token) as admin:
        return [(await admin.create("benchmarks", ["*:*"])).api_key for _ in range(count)]


def _connect(key: str) -> list[Frame | Expect]:
    data = {"api_key": key, "connection_type": "chat", "domain": "bench", "workspace": "main"}
    return [
        Expect(b'"connection_established"'),
        _frame({"type": "connect", "data": data}),
        Expect(b'"connection_success"'),
        Expect(b'"message_delivered"'),
    ]


def _join(channel: str) -> list[Frame | Expect]:
    return [_frame({"type": "join_channel", "data": {"channel": channel}}), Expect(b'"subscription_success"')]


def _frame(value: Mapping[str, Any]) -> Frame:
    return Frame.text(json.dumps(value, separators=(",", ":")))


def _delivers(port: int) -> bool:
    """Whether an edge says that a message has gone round."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2.0) as answer:
            return bool(answer.status == 200)
    except OSError:  # also an answer that says no
        return False
