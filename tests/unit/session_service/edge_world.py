"""The session service behind one or more edge streams, in memory: commands in, events out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry
from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from session_service.adapters import grpc_codec as codec
from session_service.adapters.channel_queries import ChannelQueries
from session_service.adapters.cluster_local import LocalCluster
from session_service.adapters.edge_stream.commands import EdgeCommands
from session_service.adapters.edge_stream.outbox import EdgeOutbox
from session_service.adapters.edge_stream.queries import EdgeQueries
from session_service.adapters.edge_stream.replies import EdgeReplies
from session_service.adapters.live_channels import LiveChannels
from session_service.adapters.metrics_prometheus import StreamMetrics
from session_service.adapters.publishing import Publisher
from session_service.core.hub import Hub
from session_service.core.model import Position, StoredMessage
from session_service.core.sessions import Edge
from tests.unit.session_service.fakes import EPOCH, NOW_MS, TOPIC, a_budget
from tests.unit.session_service.memory_engine import MemoryEngine

DEADLINE_S = 10.0


class StillClock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now_s = NOW_MS / 1000
        self.monotonic_s = 1000.0

    def now(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.monotonic_s


class EdgeWorld:
    """Everything behind the streams."""

    def __init__(
        self,
        *,
        ring: int = 100,
        max_channels: int = 1000,
        max_members: int = 1000,
        grace_s: float = 60.0,
        framed_delivery: Callable[[StoredMessage], bytes] = codec.framed_delivery,
    ) -> None:
        self.engine = MemoryEngine()
        self.clock = StillClock()
        self.hub = Hub(a_budget(max_messages=ring))
        self.metrics = StreamMetrics(CollectorRegistry())
        self.cluster = LocalCluster(self.hub, self.clock, quiet_s=grace_s)
        self.live = LiveChannels(
            self.hub,
            self.engine,
            self.cluster,
            self.clock,
            self.metrics,
            service_id="s1",
            edge_grace_s=grace_s,
            linger_s=3600.0,
            max_channels=max_channels,
            max_members=max_members,
            framed_delivery=framed_delivery,
        )
        self.publisher = Publisher(self.engine, 1000)
        self.queries = ChannelQueries(self.engine, self.cluster)
        self._ids = 0
        self._streams: list[Stream] = []

    async def __aenter__(self) -> EdgeWorld:
        await self.engine.start(self.live)
        await self.cluster.start(self.live)
        await self.live.start()
        self.clock.monotonic_s += 3600.0
        return self

    async def __aexit__(self, *_: object) -> None:
        for stream in self._streams:
            await stream.end()
        self.live.stop()

    def new_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"

    def make_commands(self, edge: Edge, outbox: EdgeOutbox) -> EdgeCommands:
        """Return what carries out an edge's commands."""
        replies = EdgeReplies(outbox, self.metrics)
        return EdgeCommands(self.live, self.publisher, EdgeQueries(self.queries), edge, replies, self.new_id)

    def attach(self, edge_id: str = "edge-1") -> Stream:
        """Attach an edge, again if it was attached before."""
        self._streams.append(Stream(self, edge_id))
        return self._streams[-1]

    async def session(self, edge_id: str = "edge-1", client_id: str = "alice") -> Stream:
        """Attach an edge with one session, which has number 1."""
        stream = self.attach(edge_id)
        await stream.open(1, client_id)
        return stream


class Stream:
    """One edge's stream, as the edge sees it."""

    def __init__(self, world: EdgeWorld, edge_id: str) -> None:
        self.world = world
        self.outbox = EdgeOutbox(1 << 24)
        self.edge = world.live.attach(edge_id, self.outbox)
        self.commands = world.make_commands(self.edge, self.outbox)
        self.events: list[pb.Event] = []
        self._refs = 0
        self._arrived = asyncio.Event()
        self._reader = asyncio.create_task(self._read())
        self._ended = False

    async def end(self) -> None:
        """End the stream, as a crash of the edge does."""
        if self._ended:
            return
        self._ended = True
        self.outbox.close()
        await self._reader
        self.commands.close()
        self.world.live.detach(self.edge, self.outbox)

    async def _read(self) -> None:
        while bodies := await self.outbox.take():
            for body in bodies:
                self.events += pb.AttachResponse.FromString(body).events
            self._arrived.set()

    def send(self, session: int = 0, *, silent: bool = False, **command: Any) -> int:
        """Give one command; return its ref."""
        self._refs += not silent
        ref = 0 if silent else self._refs
        self.commands.execute(pb.Command(ref=ref, session=session, **command))
        return ref

    async def answer(self, ref: int) -> pb.Event:
        """Return the answer to a command; it stays in `events`."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                found = [event for event in self.events if event.ref == ref]
                if found:
                    return found[0]
                self._arrived.clear()
                await self._arrived.wait()

    async def ask(self, session: int = 0, **command: Any) -> pb.Event:
        """Give one command and return its answer."""
        return await self.answer(self.send(session, **command))

    async def settled(self) -> list[pb.Event]:
        """Return every event so far, when a canary that was sent now has come back."""
        await self.ask(send_canary=pb.SendCanary(nonce="settled"))
        return self.events

    # What edges say.

    async def open(self, number: int, client_id: str = "alice", **more: Any) -> pb.SessionOpened:
        event = await self.ask(number, open_session=an_opening(client_id, **more))
        assert event.HasField("session_opened"), event
        return event.session_opened

    async def join(self, number: int = 1, topic: str = TOPIC, **more: Any) -> pb.Joined:
        event = await self.ask(number, join=pb.Join(topic=topic, **more))
        assert event.HasField("joined"), event
        return event.joined

    async def publish(self, number: int = 1, topic: str = TOPIC, **more: Any) -> pb.Event:
        values = {"type": "chat_message", "data": b"{}", **more}
        return await self.ask(number, publish=pb.Publish(topic=topic, **values))

    # What edges saw.

    def of(self, kind: str) -> list[Any]:
        """Return the events of one kind."""
        return [getattr(event, kind) for event in self.events if event.WhichOneof("event") == kind]

    def offsets(self, topic: str = TOPIC) -> list[int]:
        """Return the offsets of what was delivered."""
        return [message.offset for message in self.of("delivery") if message.topic == topic]

    def kinds(self, *ignored: str) -> list[str]:
        """Return the kinds of all events, in order."""
        return [kind for event in self.events if (kind := event.WhichOneof("event") or "") not in ignored]


def an_opening(client_id: str = "alice", **more: Any) -> pb.OpenSession:
    values = {
        "domain": "tests",
        "workspace": "w1",
        "connection_type": "chat",
        "key_id": "k1",
        "session_id": f"s-{client_id}",
        **more,
    }
    return pb.OpenSession(client_id=client_id, **values)


def at(offset: int, epoch: str = EPOCH) -> message_pb2.Position:
    """Return a position as the contract has it."""
    return message_pb2.Position(epoch=epoch, offset=offset)


def place(position: message_pb2.Position) -> Position:
    """Return a position as the core has it."""
    return Position(position.epoch, position.offset)


def offsets_of(messages: Any) -> list[int]:
    return [message.offset for message in messages]


def reason(event: pb.Event) -> str:
    """Return why a command failed."""
    assert event.HasField("failed"), event
    return message_pb2.ErrorReason.Name(event.failed.reason).removeprefix("ERROR_REASON_")
