"""mosquitto with a WebSocket listener: MQTT 3.1.1 at most once, in binary frames."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.load.plan import Client, Expect, Frame, Step
from benchmarks.peers.base import Peer, free_port, listens

# Debian puts it where only administrators look for programs.
_PLACES: Final = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
_PROGRAM: Final = "mosquitto"
_CONNECT, _PUBLISH, _SUBSCRIBE = 0x10, 0x30, 0x82
_CONNECTED: Final = b"\x20\x02\x00\x00"
_LEVEL_4, _CLEAN_SESSION = 4, 2


class Mosquitto(Peer):
    """One mosquitto without authentication and without a store."""

    name: ClassVar[str] = "mosquitto"

    def missing(self) -> str | None:
        """See `Peer.missing`."""
        return None if shutil.which(_PROGRAM, path=_PLACES) else "mosquitto (Debian package mosquitto)"

    def version(self) -> str:
        """See `Peer.version`."""
        said = subprocess.run([self._program(), "-h"], capture_output=True, text=True, check=False).stdout
        return said.splitlines()[0] if said else "mosquitto"

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Peer.start`."""
        self._port = free_port()
        lines = [
            # Version 2.0.11 refuses to start with WebSocket listeners alone.
            f"listener {free_port()} 127.0.0.1",
            f"listener {self._port} 127.0.0.1",
            "protocol websockets",
            "allow_anonymous true",
            "persistence false",
            "max_queued_messages 0",
            "set_tcp_nodelay true",
            f"user {pwd.getpwuid(os.geteuid()).pw_name}",
            "log_dest stderr",
            "log_type error",
        ]
        (directory / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self._server = self._launch([self._program(), "-c", "mosquitto.conf"], directory)
        self._wait(lambda: listens(self._port), directory, "listening")

    def subscriber(self, number: int, channels: Sequence[str]) -> Client:
        """See `Peer.subscriber`."""
        steps = self._connect(f"s{number}")
        if channels:
            topics = b"".join(_string(channel) + b"\x00" for channel in channels)
            steps.append(Frame(_packet(_SUBSCRIBE, b"\x00\x01" + topics), binary=True))
            steps.append(Expect(bytes([0x90, 2 + len(channels), 0, 1]) + bytes(len(channels))))
        return self._client(steps)

    def publisher(self, number: int, channel: str) -> Client:
        """See `Peer.publisher`."""
        return self._client(self._connect(f"p{number}"))

    def message(self, channel: str, text: str) -> Frame:
        """See `Peer.message`."""
        return Frame(_packet(_PUBLISH, _string(channel) + text.encode()), binary=True)

    def parts(self) -> Mapping[str, int]:
        """See `Peer.parts`."""
        return {"server": self._server.pid}

    def _client(self, steps: Sequence[Step]) -> Client:
        return Client(self._port, "/mqtt", steps, protocol="mqtt", joined=True)

    def _connect(self, client_id: str) -> list[Step]:
        body = _string("MQTT") + bytes([_LEVEL_4, _CLEAN_SESSION, 0, 0]) + _string(client_id)
        return [Frame(_packet(_CONNECT, body), binary=True), Expect(_CONNECTED)]

    def _program(self) -> str:
        return shutil.which(_PROGRAM, path=_PLACES) or _PROGRAM


def _string(text: str) -> bytes:
    """Return a string as MQTT has it: two bytes of length before it."""
    return len(text).to_bytes(2, "big") + text.encode()


def _packet(kind: int, body: bytes) -> bytes:
    """Return a packet: kind, length in groups of seven bits (MQTT 3.1.1, 2.2.3), body."""
    length, digits = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (128 if length else 0))
        if not length:
            return bytes([kind]) + bytes(digits) + body
