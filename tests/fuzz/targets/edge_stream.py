"""`EdgeStreamService.Attach`: any commands of an edge, in any order, over streams that end and begin again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError
from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from tests.fuzz.program import calls_of, program
from tests.fuzz.target import Check, Target
from tests.fuzz.worlds.edge import FuzzedEdge
from tests.fuzz.worlds.grpc_call import check_ended
from tests.fuzz.worlds.loops import on_a_loop
from tests.fuzz.worlds.session import SessionWorld, session_world

# What a byte of a program says; what is more means the rest of the division.
SEND, SETTLE, ATTACH_ANEW, GREET, WITHOUT_TOKEN = range(5)
KINDS: Final = 5
# These are answered whatever happens; others not when their session is gone by then.
ANSWERED: Final = frozenset({"publish", "read_history", "read_presence", "read_receipt", "send_canary", "leave"})
# No request may cause these.
NEVER: Final = frozenset(
    {
        message_pb2.ERROR_REASON_UNSPECIFIED,
        message_pb2.ERROR_REASON_INTERNAL,
        message_pb2.ERROR_REASON_ENGINE_TIMEOUT,
        message_pb2.ERROR_REASON_AUTH_UNAVAILABLE,
        message_pb2.ERROR_REASON_CALLER_UNKNOWN,
        message_pb2.ERROR_REASON_DRAINING,
    }
)
LAST_REF: Final = 2**64 - 1


@dataclass
class Book:
    """What was sent, confirmed and delivered, over all streams."""

    sent: defaultdict[tuple[str, str], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    stored: defaultdict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    named_again: bool = False

    def note_sent(self, commands: Any) -> Counter[int]:
        """Note commands; return the refs that must be answered, and how often."""
        wanted: Counter[int] = Counter()
        for command in commands:
            kind = command.WhichOneof("command")
            self.named_again |= kind == "resubscribe"
            if kind == "publish":
                self.sent[command.publish.topic, command.publish.id].add(command.publish.data)
            if command.ref and kind in ANSWERED:
                wanted[command.ref] += 1
        return wanted

    def note_events(self, events: list[pb.Event]) -> None:
        """Hold the events of a stream against what was sent."""
        newest: dict[str, int] = {}
        for event in events:
            kind = event.WhichOneof("event")
            if kind == "failed":
                assert event.failed.reason not in NEVER, event
            elif kind == "published":
                self._note_published(event.published)
            elif kind == "delivery":
                message = event.delivery
                assert message.data in self.sent[message.topic, message.id] | self.sent[message.topic, ""]
                assert self.named_again or message.offset > newest.get(message.topic, 0), "delivered twice, or too late"
                newest[message.topic] = message.offset

    def _note_published(self, published: pb.Published) -> None:
        stored = self.stored[published.topic]
        known = stored.setdefault(published.position.offset, published.id)
        assert known == published.id, "two messages at one offset"


async def check(data: bytes, folder: Path) -> None:
    """Carry out a program."""
    async with session_world(folder) as world:
        book, edge, wanted = Book(), _attached(world), Counter[int]()
        for call in calls_of(data):
            kind = call.kind % KINDS
            if kind in (SEND, GREET, WITHOUT_TOKEN):
                try:
                    request = pb.AttachRequest.FromString(call.request)
                except DecodeError:  # gRPC itself refuses it
                    continue
                if kind == SEND:
                    wanted += book.note_sent(request.commands)
                    edge.send(request)
                else:
                    await _greet(world, request, with_token=kind == GREET)
            elif kind == SETTLE:
                await edge.answered(wanted)
            else:
                await _over(book, edge)
                edge, wanted = _attached(world), Counter[int]()
        last = pb.Command(ref=LAST_REF, send_canary=pb.SendCanary(nonce="last"))
        edge.send(pb.AttachRequest(commands=[last]))
        await edge.answered(wanted + Counter([LAST_REF]))
        await _over(book, edge)
        await _compare(world, book)


def _attached(world: SessionWorld) -> FuzzedEdge:
    edge = FuzzedEdge(world)
    edge.send(pb.AttachRequest(commands=[pb.Command(hello=pb.Hello(edge_id="edge-1"))]))
    return edge


async def _over(book: Book, edge: FuzzedEdge) -> None:
    ended = await edge.end()
    if ended is not None:
        check_ended(ended, with_token=True)
    book.note_events(edge.events)


async def _greet(world: SessionWorld, request: pb.AttachRequest, *, with_token: bool) -> None:
    """Attach another edge by any first request, and go."""
    edge = FuzzedEdge(world, with_token=with_token)
    edge.send(request)
    ended = await edge.end()
    welcome = [event for event in edge.events if event.HasField("welcome")]
    if ended is not None:
        check_ended(ended, with_token=with_token)
        assert not welcome
    else:
        assert with_token, "an edge without a credential is attached"
        assert request.commands[0].HasField("hello")


async def _compare(world: SessionWorld, book: Book) -> None:
    """Fail unless all that was confirmed is stored where it was said to be."""
    for topic, confirmed in book.stored.items():
        page = await world.engine.read(topic, 0, 1000, 1 << 30)
        stored = {message.offset: message for message in page.messages}
        assert sorted(stored) == list(range(1, page.head + 1))
        for offset, message_id in confirmed.items():
            assert stored[offset].id == message_id
            assert stored[offset].data in book.sent[topic, message_id] | book.sent[topic, ""]


@contextmanager
def opened() -> Iterator[Check]:
    """Each input has a session service of its own."""
    with on_a_loop(check) as made:
        yield made


def _send(*commands: pb.Command) -> tuple[int, bytes]:
    return SEND, pb.AttachRequest(commands=commands).SerializeToString()


def seeds() -> dict[str, bytes]:
    """Return programs that use every command."""
    chat = "d/w/chat"
    opening = pb.OpenSession(client_id="alice", domain="d", workspace="w", connection_type="chat", session_id="s")
    hello = pb.Command(ref=1, session=1, open_session=opening)
    join = pb.Command(ref=2, session=1, join=pb.Join(topic=chat, last_acked=pb.LastAcked(), presence=True))
    publish = pb.Command(
        ref=3, session=1, publish=pb.Publish(topic=chat, type="chat_message", id="m-1", data=b"{}", thread_id="t-1")
    )
    position = message_pb2.Position(epoch="", offset=1)
    ack = pb.Command(session=1, acknowledge=pb.Acknowledge(topic=chat, position=position))
    leave = pb.Command(ref=4, session=1, leave=pb.Leave(topic=chat))
    far = message_pb2.Position(epoch="x", offset=2**64 - 1)
    back = pb.Command(session=1, resubscribe=pb.Resubscribe(topic=chat, position=position, sessions=[1, 2]))
    beyond = pb.Command(session=1, resubscribe=pb.Resubscribe(topic=chat, position=far, sessions=[1]))
    asked = (
        pb.Command(ref=5, read_history=pb.ReadHistory(topic=chat, since=position, limit=1)),
        pb.Command(ref=6, read_presence=pb.ReadPresence(topic=chat)),
        pb.Command(ref=7, read_receipt=pb.ReadReceipt(topic=chat, offset=1)),
        pb.Command(ref=8, send_canary=pb.SendCanary(nonce="n")),
    )
    settle, anew = (SETTLE, b""), (ATTACH_ANEW, b"")
    return {
        "one-life": program(
            [_send(hello, join, publish, ack, *asked, leave), settle, _send(pb.Command(close_session={}))]
        ),
        "join-since": program(
            [
                _send(hello, publish),
                settle,
                _send(pb.Command(ref=9, session=1, join=pb.Join(topic=chat, since=far))),
                _send(pb.Command(ref=10, session=1, join=pb.Join(topic=chat, last=2**32 - 1))),
            ]
        ),
        "attached-anew": program(
            [
                _send(hello, join, publish),
                settle,
                anew,
                _send(
                    pb.Command(session=1, open_session=opening), back, pb.Command(ref=11, replay_done=pb.ReplayDone())
                ),
                _send(publish, *asked),
            ]
        ),
        "named-again-beyond": program(
            [_send(hello, publish), settle, anew, _send(pb.Command(session=1, open_session=opening), beyond)]
        ),
        "leave-behind-a-join": program(
            [_send(hello, publish, join, leave, join, leave, pb.Command(session=1, close_session={}))]
        ),
        "greetings": program(
            [
                (GREET, b""),
                (
                    GREET,
                    pb.AttachRequest(
                        commands=[pb.Command(ref=1, hello=pb.Hello(edge_id="edge-2"))]
                    ).SerializeToString(),
                ),
                (GREET, pb.AttachRequest(commands=[publish]).SerializeToString()),
                (
                    WITHOUT_TOKEN,
                    pb.AttachRequest(commands=[pb.Command(hello=pb.Hello(edge_id="e"))]).SerializeToString(),
                ),
            ]
        ),
    }


TARGET = Target(
    oracle="each question is answered, none with INTERNAL; one message an offset, delivered in order, stored as it was sent",
    opened=opened,
    seeds=seeds,
    words=(
        b"d/w/chat",
        b"d/w/@alice",
        b"d/w/*",
        b"alice",
        b"edge-1",
        b"chat_message",
        b"\x08\x01\x10\x01",
        b"\x10\x01",
    ),
)
