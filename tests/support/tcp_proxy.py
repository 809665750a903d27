"""A TCP proxy that breaks connections on demand: cut in the middle of a chunk, or open while nothing arrives.

It runs in a thread of its own, with many connections at once. Clients come in by doors: every door has a listening port
for each target, so that whoever must share one fate, over all its reconnects and all its edges, uses one door.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

CALL_DEADLINE_S: Final = 30.0
CONNECT_DEADLINE_S: Final = 5.0
NO_CHUNK_S: Final = 0.5
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
T = TypeVar("T")


class DoorState(Enum):
    """What a door does to its connections."""

    OPEN = "forwards"
    CUT = "resets what is open, refuses what is new"
    SWALLOWING = "connections are open, and nothing of the target arrives"


@dataclass
class ProxyCounters:
    """What happened, in connections and bytes. Written by the proxy's thread only."""

    accepted: int = 0
    refused: int = 0
    cut: int = 0
    cut_in_mid_chunk: int = 0
    upstream_bytes: int = 0
    downstream_bytes: int = 0
    swallowed_bytes: int = 0
    swallowed_ends: int = 0


class TcpProxy:
    """Forwards to fixed targets. Its methods may be called from any thread.

    Args:
        targets: `host:port` of each.
        doors: How many groups of clients have a fate of their own.
        rng: Chooses doors, and where in a chunk is cut.
    """

    def __init__(self, targets: Sequence[str], doors: int = 1, rng: random.Random | None = None) -> None:
        self.counters = ProxyCounters()
        self._targets = [_host_and_port(target) for target in targets]
        self._rng = rng or random.Random()
        self._doors = [_Door(self.counters, self._rng) for _ in range(doors)]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)

    def start(self) -> None:
        """Listen, on free ports."""
        self._thread.start()
        self._call(self._listen())

    def stop(self) -> None:
        """Reset everything and stop listening."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_DEADLINE_S)
        self._loop.close()

    def __enter__(self) -> TcpProxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def addresses(self, door: int = 0) -> list[str]:
        """Return the `host:port` that leads to each target through a door."""
        return [f"127.0.0.1:{port}" for port in self._doors[door].ports]

    @property
    def open_connections(self) -> int:
        return sum(len(door.links) for door in self._doors)

    def cut(self, fraction: float = 1.0) -> list[int]:
        """Cut the connections of some doors, each after a part of its next chunk, and refuse new ones there.

        Args:
            fraction: Of the doors, at least one is chosen.

        Returns:
            The doors.
        """
        return self._change(fraction, DoorState.CUT)

    def swallow_downstream(self, fraction: float = 1.0) -> list[int]:
        """Keep the connections of some doors open while nothing that the target sends arrives; return the doors.

        What the client sends is forwarded. That the target closes is swallowed too.
        """
        return self._change(fraction, DoorState.SWALLOWING)

    def deafen(self) -> int:
        """Keep the connections that are open now open while nothing reaches their clients; return how many these are.

        New ones are forwarded.
        """
        return self._call(self._deafen())

    def restore(self) -> None:
        """Forward again. Connections that bytes are missing from are reset."""
        self._call(self._set(self._doors, DoorState.OPEN))

    def _change(self, fraction: float, state: DoorState) -> list[int]:
        count = min(len(self._doors), max(1, round(fraction * len(self._doors))))
        chosen = sorted(self._rng.sample(range(len(self._doors)), count))
        self._call(self._set([self._doors[number] for number in chosen], state))
        return chosen

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_DEADLINE_S)

    async def _set(self, doors: Sequence[_Door], state: DoorState) -> None:
        for door in doors:
            door.become(state)

    async def _deafen(self) -> int:
        return sum(door.deafen() for door in self._doors)

    async def _listen(self) -> None:
        for door in self._doors:
            for target in self._targets:
                await door.listen(target)

    async def _close(self) -> None:
        for door in self._doors:
            door.close()
        await asyncio.sleep(0)  # the transports' last callbacks


class _Door:
    """The listening ports and the connections of one group of clients."""

    def __init__(self, counters: ProxyCounters, rng: random.Random) -> None:
        self.counters = counters
        self.rng = rng
        self.state = DoorState.OPEN
        self.links: set[_Link] = set()
        self.ports: list[int] = []
        self._servers: list[asyncio.Server] = []

    async def listen(self, target: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Link(self, target).client, "127.0.0.1", 0, backlog=1024)
        self._servers.append(server)
        self.ports.append(server.sockets[0].getsockname()[1])

    def become(self, state: DoorState) -> None:
        self.state = state
        for link in list(self.links):
            link.door_became(state)

    def deafen(self) -> int:
        for link in self.links:
            link.deaf = True
        return len(self.links)

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for link in list(self.links):
            link.reset()


class _Link:
    """One connection of a client, and the one to the target that belongs to it."""

    def __init__(self, door: _Door, target: tuple[str, int]) -> None:
        self.client = _End(self._from_client, self._client_came, self._client_went)
        self._server = _End(self._from_server, self._server_came, self._server_went)
        self.client.peer, self._server.peer = self._server, self.client
        self._door = door
        self._target = target
        self.deaf = False
        self._doomed = False
        self._damaged = False
        self._dialling: asyncio.Task[None] | None = None

    def door_became(self, state: DoorState) -> None:
        if state is DoorState.CUT:
            self._doomed = True
            self._door.counters.cut += 1
            asyncio.get_running_loop().call_later(NO_CHUNK_S, self.reset)
        elif state is DoorState.OPEN and (self._doomed or self._damaged):
            self.reset()

    def reset(self) -> None:
        """End both sides without a good-bye; idempotent."""
        self._door.links.discard(self)
        if self._dialling is not None:
            self._dialling.cancel()
        self.client.reset()
        self._server.reset()

    def _client_came(self) -> None:
        if self._door.state is DoorState.CUT:
            self._door.counters.refused += 1
            self.client.reset()
            return
        self._door.counters.accepted += 1
        self._door.links.add(self)
        self.client.pause()
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await loop.create_connection(lambda: self._server, *self._target)
        except OSError:  # TimeoutError is one
            self.reset()

    def _server_came(self) -> None:
        self.client.resume()

    def _from_client(self, data: bytes) -> None:
        if self._doomed:
            self._cut_in(data, self._server)
            return
        self._door.counters.upstream_bytes += len(data)
        self._server.write(data)

    def _from_server(self, data: bytes) -> None:
        if self.deaf or self._door.state is DoorState.SWALLOWING:
            self._damaged = True
            self._door.counters.swallowed_bytes += len(data)
        elif self._doomed:
            self._cut_in(data, self.client)
        else:
            self._door.counters.downstream_bytes += len(data)
            self.client.write(data)

    def _cut_in(self, data: bytes, to: _End) -> None:
        """Forward a part of a chunk, and end."""
        part = data[: self._door.rng.randrange(len(data))]
        self._door.counters.cut_in_mid_chunk += bool(part)
        to.write(part)
        self.reset()

    def _client_went(self, *, in_order: bool) -> None:
        self._door.links.discard(self)
        if self._dialling is not None:
            self._dialling.cancel()
        self._server.finish(in_order=in_order)

    def _server_went(self, *, in_order: bool) -> None:
        if self.deaf or self._door.state is DoorState.SWALLOWING:
            self._damaged = True
            self._door.counters.swallowed_ends += 1
        else:
            self.client.finish(in_order=in_order)


class _End(asyncio.Protocol):
    """One side of a link, with the backpressure of the other."""

    peer: _End

    def __init__(self, data: Callable[[bytes], None], came: Callable[[], None], went: Callable[..., None]) -> None:
        self._data = data
        self._came = came
        self._went = went
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._came()

    def data_received(self, data: bytes) -> None:
        self._data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._went(in_order=exc is None)

    def pause_writing(self) -> None:
        self.peer.pause()

    def resume_writing(self) -> None:
        self.peer.resume()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def finish(self, *, in_order: bool) -> None:
        """End as the peer ended: after what is written, or with a reset."""
        if not in_order:
            self.reset()
        elif self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self._transport.abort()


def _host_and_port(target: str) -> tuple[str, int]:
    host, port = target.rsplit(":", 1)
    return host, int(port)
