"""nats-server with its WebSocket listener, and with JetStream, which stores messages in files before it confirms them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.errors import BenchmarkError
from benchmarks.load.plan import Client, Expect, Frame, message_id
from benchmarks.peers.base import START_DEADLINE_S, Peer, free_port, listens

_PROGRAM: Final = "nats-server"
_CONNECT: Final = b'CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\n'
_ALIVE: Final = (Frame(b"PING\r\n", binary=True), Expect(b"PONG"))
_REPLIES: Final = "reply"
_STREAM: Final = {"name": "BENCH", "subjects": ["bench.>"], "storage": "file", "discard": "old", "max_msgs": 1_000_000}


class Nats(Peer):
    """One nats-server without authentication."""

    name: ClassVar[str] = "nats"
    _jetstream: ClassVar[bool] = False

    def missing(self) -> str | None:
        """See `Peer.missing`."""
        return None if shutil.which(_PROGRAM) else "nats-server (Debian package nats-server)"

    def version(self) -> str:
        """See `Peer.version`."""
        return subprocess.run([_PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.strip()

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Peer.start`."""
        self._tcp_port, self._port = free_port(), free_port()
        lines = [
            f'listen: "127.0.0.1:{self._tcp_port}"',
            f'websocket {{ listen: "127.0.0.1:{self._port}", no_tls: true }}',
            'ping_interval: "1h"',
            *([f'jetstream {{ store_dir: "{directory / "jetstream"}" }}'] if self._jetstream else []),
        ]
        (directory / "nats.conf").write_text("\n".join(lines))
        self._server = self._launch([_PROGRAM, "-c", "nats.conf"], directory)
        self._wait(lambda: listens(self._port), directory, "listening")

    def subscriber(self, number: int, channels: Sequence[str]) -> Client:
        """See `Peer.subscriber`."""
        lines = b"".join(f"SUB bench.{channel} {index + 1}\r\n".encode() for index, channel in enumerate(channels))
        return self._client(lines)

    def publisher(self, number: int, channel: str) -> Client:
        """See `Peer.publisher`."""
        return self._client(f"SUB {_REPLIES}.> 1\r\n".encode() if self.confirms else b"")

    def message(self, channel: str, text: str) -> Frame:
        """See `Peer.message`."""
        reply = f" {_REPLIES}.{message_id()}" if self.confirms else ""
        return Frame(f"PUB bench.{channel}{reply} {len(text)}\r\n{text}\r\n".encode(), binary=True)

    def parts(self) -> Mapping[str, int]:
        """See `Peer.parts`."""
        return {"server": self._server.pid}

    def _client(self, lines: bytes) -> Client:
        more = [Frame(lines, binary=True)] if lines else []
        return Client(self._port, "/", (Expect(b"INFO"), Frame(_CONNECT, binary=True), *more, *_ALIVE), joined=True)


class NatsJetStream(Nats):
    """The same with a stream in files, whose acknowledgements are waited for. It does not flush each message to the disk."""

    name: ClassVar[str] = "nats-jetstream"
    confirms: ClassVar[bool] = True
    _jetstream: ClassVar[bool] = True

    def version(self) -> str:
        """See `Peer.version`."""
        return f"{super().version()}, JetStream in files, flushed to disk every two minutes (its default)"

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Peer.start`."""
        super().start(directory, identities)
        request = json.dumps(_STREAM).encode()
        with socket.create_connection(("127.0.0.1", self._tcp_port), START_DEADLINE_S) as link:
            link.settimeout(START_DEADLINE_S)
            link.sendall(_CONNECT.replace(b'"echo":false', b'"echo":true') + b"SUB made 1\r\n")
            link.sendall(b"PUB $JS.API.STREAM.CREATE.BENCH made %d\r\n%s\r\n" % (len(request), request))
            heard = b""
            while b"stream_create_response" not in heard and (part := link.recv(65536)):
                heard += part
        if b'"error"' in heard or b"stream_create_response" not in heard:
            raise BenchmarkError(f"nats-jetstream: the stream cannot be made: {heard.decode(errors='replace')}")
