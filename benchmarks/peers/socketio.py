"""Socket.IO over WebSocket alone: its own server on Node.js, and python-socketio on aiohttp."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.load.plan import Client, Expect, Frame, Step
from benchmarks.peers.base import Peer, free_port, listens

NODE_FOLDER: Final = Path(__file__).resolve().parent / "socketio_node"
_PYTHON_SERVER: Final = Path(__file__).resolve().parent / "socketio_python" / "server.py"
_PATH: Final = "/socket.io/?EIO=4&transport=websocket"


class SocketIo(Peer):
    """A server with two events: `join` with a list of rooms, which is acknowledged, and `publish` to a room."""

    @abstractmethod
    def _command(self, port: int) -> Sequence[str]:
        """Return the command that runs the server."""

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Peer.start`."""
        self._port = free_port()
        self._server = self._launch(self._command(self._port), directory)
        self._wait(lambda: listens(self._port), directory, "listening")

    def subscriber(self, number: int, channels: Sequence[str]) -> Client:
        """See `Peer.subscriber`."""
        steps = self._connect()
        if channels:
            steps += [Frame.text("420" + json.dumps(["join", list(channels)])), Expect(b"430[")]
        return Client(self._port, _PATH, steps)

    def publisher(self, number: int, channel: str) -> Client:
        """See `Peer.publisher`."""
        return Client(self._port, _PATH, self._connect())

    def message(self, channel: str, text: str) -> Frame:
        """See `Peer.message`."""
        return Frame.text("42" + json.dumps(["publish", channel, text], separators=(",", ":")))

    def parts(self) -> Mapping[str, int]:
        """See `Peer.parts`."""
        return {"server": self._server.pid}

    def _connect(self) -> list[Step]:
        return [Expect(b"0{"), Frame.text("40"), Expect(b"40{")]


class SocketIoNode(SocketIo):
    """socket.io on Node.js."""

    name: ClassVar[str] = "socketio-node"

    def missing(self) -> str | None:
        """See `Peer.missing`."""
        if shutil.which("node") is None:
            return "node"
        if not (NODE_FOLDER / "node_modules" / "socket.io").is_dir():
            return "the npm packages of benchmarks/peers/socketio_node (npm ci)"
        return None

    def version(self) -> str:
        """See `Peer.version`."""
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        package = json.loads((NODE_FOLDER / "node_modules" / "socket.io" / "package.json").read_text())
        return f"socket.io {package['version']} on Node.js {node}"

    def _command(self, port: int) -> Sequence[str]:
        return ["node", str(NODE_FOLDER / "server.mjs"), str(port)]


class PythonSocketIo(SocketIo):
    """python-socketio on aiohttp and uvloop."""

    name: ClassVar[str] = "python-socketio"

    def missing(self) -> str | None:
        """See `Peer.missing`."""
        return None if importlib.util.find_spec("socketio") else "python-socketio (extra `bench`)"

    def version(self) -> str:
        """See `Peer.version`."""
        versions = [f"{name} {importlib.metadata.version(name)}" for name in ("python-socketio", "aiohttp", "uvloop")]
        return ", ".join(versions)

    def _command(self, port: int) -> Sequence[str]:
        return [sys.executable, str(_PYTHON_SERVER), str(port)]
