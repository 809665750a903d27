"""The stream to a session service: attaching, moving to another, and what stays as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import pytest
from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.grpc_channel import open_channel
from tests.support.waiting import eventually
from tests.unit.ws_edge.session_peer import SessionPeer
from ws_edge.adapters import grpc_session_stream
from ws_edge.adapters.grpc_session_stream import SessionStream
from ws_edge.core.ports import Answer, Member, Position, Published, SessionFacts, StoredMessage

WHO = SessionFacts(1, "s-1", "alice", "d", "w", "chat", "k-1")
DEADLINE_S = 20.0


class Edge:
    """Implements `StreamListener`: one session, a member of one channel."""

    def __init__(self) -> None:
        self.delivered: list[int] = []
        self.notices: list[str] = []
        self.defects: list[Exception] = []

    def deliver(self, topic: str, stored: StoredMessage) -> None:
        self.delivered.append(stored.offset)
        if stored.offset == 13:
            raise ValueError("defect")

    def presence_changed(self, topic: str, who: Member, *, joined: bool) -> None:
        self.notices.append(f"presence {who.client_id} {joined}")

    def resubscribed(self, topic: str, position: Position, failure: str | None) -> None:
        self.notices.append(f"resubscribed {position.offset} {failure}")

    def disconnect_session(self, number: int, reason: str, *, reconnect: bool) -> None:
        self.notices.append(f"disconnect {number} {reason} {reconnect}")

    def defect(self, number: int, exc: Exception) -> None:
        self.defects.append(exc)

    def canary_returned(self, nonce: str) -> None:
        self.notices.append(f"canary {nonce}")

    def is_open(self, number: int) -> bool:
        return number == WHO.number

    def sessions(self) -> list[tuple[SessionFacts, Position | None]]:
        return [(WHO, Position("e", 3))]

    def subscriptions(self) -> list[tuple[str, Position, list[int], list[int]]]:
        return [("d/w/room", Position("e", 7), [1], [])]


@asynccontextmanager
async def attached_to(
    *peers: SessionPeer,
    edge: Edge | None = None,
    deadline_s: float = DEADLINE_S,
    backoff: Callable[[int], float] = lambda _: 0.02,
) -> AsyncIterator[SessionStream]:
    channel = open_channel("ipv4:" + ",".join(peer.address for peer in peers), only_serving=True)
    stream = SessionStream(
        channel, service_token="t", edge_id="edge-1", deadline_s=deadline_s, max_pending=100, backoff=backoff
    )
    stream.start(edge or Edge())
    try:
        yield stream
    finally:
        await stream.stop()
        await channel.close()


async def attachment(stream: SessionStream, *, count: int) -> None:
    """Return when the stream was attached so often."""

    async def attached() -> bool:
        return stream.stats.attached >= count

    await eventually(attached, DEADLINE_S, f"attached {count} times")


def publish(stream: SessionStream, name: str = "m-1") -> asyncio.Future[Answer]:
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    stream.commands.publish(1, "d/w/room", "chat_message", name, b"{}", "", answered.set_result)
    return answered


async def answer(future: asyncio.Future[Answer]) -> Answer:
    async with asyncio.timeout(DEADLINE_S):
        return await future


def moves_without_waiting(failures: int) -> float:
    """Be the backoff of an edge that must not wait: only what was refused may."""
    assert failures > 0, "the edge waited before it moved"
    return 0.02


async def test_what_lives_here_is_named_before_anything_else() -> None:
    async with SessionPeer("a") as peer, attached_to(peer) as stream:
        assert isinstance(await answer(publish(stream)), Published)
        kinds = [command.WhichOneof("command") for command in peer.commands]
        assert kinds == ["hello", "open_session", "resubscribe", "replay_done", "publish"]
        assert peer.commands[0].hello.edge_id == "edge-1"
        assert (stream.service_id, stream.live, stream.pending) == ("a", True, 0)


async def test_an_edge_moves_at_once_when_its_session_service_drains() -> None:
    async with SessionPeer("a") as first, SessionPeer("b") as second:
        peers = {"a": first, "b": second}
        async with attached_to(first, second, backoff=moves_without_waiting) as stream:
            for count in range(1, 6):
                await attachment(stream, count=count)
                old = peers[stream.service_id]
                old.answers = False
                waiting = publish(stream, f"m-{count}")
                await old.came.wait()
                await old.drain()
                assert isinstance(await answer(waiting), Published), "what was pending is sent to the other"
                new = peers[stream.service_id]
                assert new is not old
                assert new.named("publish")[-1].publish.id == f"m-{count}"
                old.answers, old.refuses = True, False
                await old.server.set_serving(True)
            assert (stream.stats.attached, stream.stats.drained) == (6, 5)


async def test_an_edge_waits_for_the_one_session_service_that_drains() -> None:
    async with SessionPeer("a") as peer, attached_to(peer) as stream:
        await attachment(stream, count=1)
        await peer.drain()

        async def away() -> bool:
            return not stream.live

        await eventually(away, DEADLINE_S, "the stream has ended")
        waiting = publish(stream)
        peer.refuses = False
        await peer.server.set_serving(True)
        assert isinstance(await answer(waiting), Published)


async def test_a_stream_stays_while_its_session_service_cannot_serve_for_a_moment() -> None:
    """Its store is away: whoever is attached is told so by the answers, and no attachment is begun."""
    async with SessionPeer("a") as peer, attached_to(peer) as stream:
        await attachment(stream, count=1)
        await peer.server.set_serving(False)
        probe = open_channel(peer.address, only_serving=True)

        async def seen() -> bool:
            return probe.get_state(try_to_connect=True) is grpc.ChannelConnectivity.TRANSIENT_FAILURE

        await eventually(seen, DEADLINE_S, "channels know that it does not serve")
        await probe.close()
        assert isinstance(await answer(publish(stream)), Published)
        assert (stream.live, peer.attached) == (True, 1)


async def test_a_session_service_that_ends_the_stream_gets_it_back() -> None:
    waits: list[int] = []

    def backoff(failures: int) -> float:
        waits.append(failures)
        return 0.0

    async with SessionPeer("a") as peer, attached_to(peer, backoff=backoff) as stream:
        await attachment(stream, count=1)
        peer.end_streams()
        await attachment(stream, count=2)
        assert waits == [0]


async def test_attempts_that_are_refused_wait_longer_and_longer() -> None:
    waits: list[int] = []

    def backoff(failures: int) -> float:
        waits.append(failures)
        return 0.0

    async with SessionPeer("a") as peer:
        peer.refuses = True
        async with attached_to(peer, backoff=backoff) as stream:

            async def refused() -> bool:
                return len(waits) >= 3

            await eventually(refused, DEADLINE_S, "attempts were refused")
            assert waits[:3] == [1, 2, 3]
            peer.refuses = False
            await attachment(stream, count=1)


async def test_a_session_service_that_does_not_greet_is_left() -> None:
    async with SessionPeer("a") as first, SessionPeer("b") as second:
        first.greets = False
        async with attached_to(first, second, deadline_s=0.3) as stream:
            for count in range(1, 4):
                await attachment(stream, count=count)
                assert stream.service_id == "b"
                second.end_streams()
        assert first.attached > 0


async def test_notices_reach_the_edge_in_order() -> None:
    edge = Edge()
    async with SessionPeer("a") as peer, attached_to(peer, edge=edge) as stream:
        await attachment(stream, count=1)
        peer.tell(
            pb.Event(presence_changed=pb.PresenceChanged(topic="t", joined=True)),
            pb.Event(resubscribed=pb.Resubscribed(topic="t", recovered=True)),
            pb.Event(resubscribed=pb.Resubscribed(topic="t")),
            pb.Event(session=1, disconnect_session=pb.DisconnectSession(reason="why", reconnect=True)),
            pb.Event(failed=pb.CommandFailed(message="no")),
            pb.Event(canary_returned=pb.CanaryReturned(nonce="n")),
        )

        async def noticed() -> bool:
            return len(edge.notices) >= 5

        await eventually(noticed, DEADLINE_S, "the notices are there")
    assert edge.notices == [
        "presence  True",
        "resubscribed 0 None",
        "resubscribed 0 history_expired",
        "disconnect 1 why True",
        "canary n",
    ]


async def test_a_defect_of_the_edge_does_not_end_the_stream() -> None:
    edge = Edge()
    async with SessionPeer("a") as peer, attached_to(peer, edge=edge) as stream:
        await attachment(stream, count=1)
        for offset in (12, 13, 14):
            event = pb.Event()
            event.delivery.offset = offset
            peer.tell(event)

        async def delivered() -> bool:
            return len(edge.delivered) == 3

        await eventually(delivered, DEADLINE_S, "everything is delivered")
        assert [str(exc) for exc in edge.defects] == ["defect"]
        assert (stream.live, peer.attached) == (True, 1)


async def test_a_defect_in_what_is_named_does_not_end_the_edge() -> None:
    class Defective(Edge):
        def sessions(self) -> list[tuple[SessionFacts, Position | None]]:
            if not self.defects:
                raise ValueError("defect")
            return super().sessions()

    edge = Defective()
    async with SessionPeer("a") as peer, attached_to(peer, edge=edge) as stream:
        assert isinstance(await answer(publish(stream)), Published)
        assert [str(exc) for exc in edge.defects] == ["defect"]
        assert peer.attached == 2


@pytest.mark.parametrize("count", [1, 600])
async def test_what_waited_for_a_session_service_is_sent_when_one_is_there(count: int) -> None:
    async with SessionPeer("a") as peer:
        await peer.server.set_serving(False)
        channel = open_channel(peer.address, only_serving=True)
        stream = SessionStream(
            channel, service_token="t", edge_id="e", deadline_s=DEADLINE_S, max_pending=1000, backoff=lambda _: 0.02
        )
        stream.start(Edge())
        waiting = [publish(stream, f"m-{n}") for n in range(count)]
        await peer.server.set_serving(True)
        for future in waiting:
            assert isinstance(await answer(future), Published)
        assert [command.publish.id for command in peer.named("publish")] == [f"m-{n}" for n in range(count)]
        await stream.stop()
        await channel.close()


async def test_what_comes_soon_behind_a_message_shares_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_session_stream, "GATHER_S", 0.5)
    async with SessionPeer("a") as peer, attached_to(peer) as stream:
        await attachment(stream, count=1)
        await publish(stream, "m-0")
        assert stream.stats.batches_sent == 1, "the first goes at once"
        answers = []
        for number in range(10):
            answers.append(publish(stream, f"m-{number + 1}"))
            await asyncio.sleep(0)
        await asyncio.gather(*answers)
        assert stream.stats.batches_sent == 2
