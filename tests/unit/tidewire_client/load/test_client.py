"""One client of the load, against an edge that behaves in chosen ways."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from tests.support.waiting import eventually
from tests.unit.tidewire_client.peers import (
    EdgePeer,
    Script,
    serving_edge,
    serving_nothing,
    serving_status,
    until_closed,
    unused_target,
)
from tidewire_client.edge_connection import EdgeLogin
from tidewire_client.load.client import LoadClient
from tidewire_client.load.environment import Environment, now_us
from tidewire_client.load.ledger import Account, Sent
from tidewire_client.load.messages import Writer
from tidewire_client.load.phases import Phases
from tidewire_client.load.plan import ClientPlan, Drain, Drained, Open, Opened, Stop, Target
from tidewire_client.load.session import StepFailed

Socket = web.WebSocketResponse
RUN = "0a1b2c3d"
WRITER = Writer(RUN, 7, "room", 60)
MEMBER = ClientPlan(1, ("room",), hears=(7,))


def environment(url: str, timeout_s: float = 10.0) -> Environment:
    login = EdgeLogin(url, "tw_live_4fK2_secret", "load", "d", "w")
    return Environment(Target(login, ("127.0.0.1",), urlsplit(url).port or 0, None, RUN, timeout_s))


def message(number: int, offset: int | None = None) -> dict[str, Any]:
    """A message of stream 7, as an edge delivers it; its offset is one more than its number."""

    data = json.loads(WRITER.frame(number, now_us()))["data"]
    place = {"epoch": "e1", "offset": number + 1 if offset is None else offset}
    return {"type": "chat_message", "channel": "room", "client_id": "load", "data": data, **place}


async def run(
    plan: ClientPlan, *scripts: Script, then: Callable[[LoadClient, Environment, EdgePeer], Awaitable[None]]
) -> None:
    """Connect a client to an edge, let something happen, and close it."""
    peer = EdgePeer(*scripts)
    async with serving_edge(peer) as url:
        env = environment(url)
        client = LoadClient(env, plan)
        try:
            await client.connect()
            await then(client, env, peer)
        finally:
            env.stopping = True
            client.cut()
            for task in env.tasks:
                task.cancel()


def account(client: LoadClient, sent: int) -> Account:
    return client.ledger.account([7], {7: Sent(sent)})


async def test_it_joins_and_counts() -> None:
    async def edge(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        await peer.join(socket)
        for number in (0, 1, 3, 2, 2):
            await socket.send_json(message(number))
        await socket.send_json({"type": "chat_message", "channel": "room", "data": {"content": "of somebody else"}})
        await until_closed(socket)

    async def then(client: LoadClient, env: Environment, peer: EdgePeer) -> None:
        assert client.authenticated

        async def all_came() -> bool:
            return env.counters.delivered == 5

        await eventually(all_came)
        assert account(client, 5) == Account(5, 4, duplicated=1, missing=1, out_of_order=1)
        assert (env.counters.open, env.latency.count, peer.client_ids) == (1, 5, [f"load-{RUN}-1"])

    await run(MEMBER, edge, then=then)


async def test_who_was_away_comes_back_where_it_left() -> None:
    async def first(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        await peer.join(socket)
        await socket.send_json(message(0))
        await socket.send_json(message(1))
        await socket.send_json({"type": "ping", "data": {}})  # a frame of no known kind
        await peer.expect(socket, "chat_message")
        peer.break_off(socket)

    async def second(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        data = {"channel": "room", "epoch": "e1", "offset": 4, "recovered": True}
        await socket.send_json({"type": "subscription_success", "channel": "room", "data": data})
        for number in (2, 3, 4):
            await socket.send_json(message(number))
        await until_closed(socket)

    async def then(client: LoadClient, env: Environment, peer: EdgePeer) -> None:
        async def two_came() -> bool:
            return env.counters.delivered == 2

        await eventually(two_came)
        assert client.outgoing is not None
        client.send(client.outgoing.next_frame(now_us()))

        async def all_came() -> bool:
            return env.counters.delivered == 5

        await eventually(all_came)
        assert peer.frames_of("connect")[1]["data"]["resume"] == [{"channel": "room", "epoch": "e1", "offset": 2}]
        assert account(client, 5) == Account(5, 5)
        counters = env.counters
        assert (counters.dropped, counters.reconnected, counters.cut_off, counters.open) == (1, 1, 1, 1)
        # What it had missed is no latency of a delivery.
        assert (env.latency.count, env.catch_up.count, env.tick_back.count) == (3, 2, 1)
        assert client.outgoing.sent() == Sent(1, ((0, 1),)), "nobody knows if it was stored"
        assert client.outgoing.unanswered == 0

    await run(ClientPlan(1, ("room",), stream=9, hears=(7,)), first, second, then=then)


async def test_what_the_edge_no_longer_has_is_told() -> None:
    async def first(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        await peer.join(socket)
        peer.break_off(socket)

    async def second(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        data = {"channel": "room", "epoch": "e2", "offset": 9, "recovered": False, "reason": "epoch_changed"}
        await socket.send_json({"type": "subscription_success", "channel": "room", "data": data})
        await until_closed(socket)

    async def then(client: LoadClient, env: Environment, peer: EdgePeer) -> None:
        async def told() -> bool:
            return env.counters.reconnected == 1

        await eventually(told)
        assert env.counters.told_lost == 1
        assert env.counters.reasons["told that messages are lost: epoch_changed"] == 1
        assert client.positions == {"room": ("e2", 9)}

    await run(MEMBER, first, second, then=then)


async def test_an_answer_that_says_later_is_asked_again_on_the_same_connection() -> None:
    async def edge(peer: EdgePeer, socket: Socket) -> None:
        frame = await peer.expect(socket, "connect")
        data = {"message": "busy", "error_type": "unavailable", "code": 503, "retry_after_ms": 5}
        await socket.send_json({"type": "error", "id": frame["id"], "data": data})
        await peer.welcome(socket)
        await until_closed(socket)

    async def then(client: LoadClient, env: Environment, peer: EdgePeer) -> None:
        assert (peer.connections, len(peer.frames_of("connect"))) == (1, 2)

    await run(ClientPlan(1), edge, then=then)


def goodbye(code: int, *, reconnect: bool, error: str = "") -> Script:
    """An edge that says goodbye instead of welcome."""

    async def edge(peer: EdgePeer, socket: Socket) -> None:
        frame = await peer.expect(socket, "connect")
        if error:
            data = {"message": "Invalid API key", "error_type": error, "code": 403}
            await socket.send_json({"type": "error", "id": frame["id"], "data": data})
        bye = {"reason": "no room", "code": code, "reconnect": reconnect, "retry_after_ms": 5}
        await socket.send_json({"type": "disconnect", "data": bye})
        await socket.close(code=code)

    return edge


async def test_an_edge_that_is_full_is_tried_again() -> None:
    async def edge(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        await until_closed(socket)

    async def then(client: LoadClient, env: Environment, peer: EdgePeer) -> None:
        assert peer.connections == 2
        assert (env.counters.dropped, env.counters.open) == (0, 1)

    await run(ClientPlan(1), goodbye(1013, reconnect=True), edge, then=then)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (goodbye(4000, reconnect=False, error="invalid_key"), "invalid_key: Invalid API key"),
        (goodbye(4000, reconnect=False), "no room"),
    ],
)
async def test_a_refusal_for_good_is_taken_as_that(script: Script, words: str) -> None:
    peer = EdgePeer(script)
    async with serving_edge(peer) as url:
        with pytest.raises(StepFailed, match=words):
            await LoadClient(environment(url), ClientPlan(1)).connect()
    assert peer.connections == 1


async def test_no_permission_to_join_is_a_refusal() -> None:
    async def edge(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        frame = await peer.expect(socket, "join_channel")
        data = {"message": "needs join:room", "error_type": "permission_denied", "code": 403}
        await socket.send_json({"type": "error", "id": frame["id"], "data": data})
        await until_closed(socket)

    async with serving_edge(EdgePeer(edge)) as url:
        env = environment(url)
        with pytest.raises(StepFailed, match="permission_denied: needs join:room"):
            await LoadClient(env, MEMBER).connect()
        assert env.counters.open == 0


async def test_an_edge_that_is_not_ready_is_tried_until_the_time_is_over() -> None:
    async with serving_status(503) as url:
        began_s = time.monotonic()
        with pytest.raises(StepFailed, match="HTTP 503"):
            await LoadClient(environment(url, timeout_s=0.3), ClientPlan(1)).connect()
        assert time.monotonic() - began_s < 5


async def test_what_is_no_edge_is_not_tried_again() -> None:
    async with serving_status(404) as url:
        began_s = time.monotonic()
        with pytest.raises(StepFailed, match="HTTP 404"):
            await LoadClient(environment(url, timeout_s=60), ClientPlan(1)).connect()
        assert time.monotonic() - began_s < 30


async def test_nobody_there_and_no_answer() -> None:
    with unused_target() as target, pytest.raises(StepFailed, match="cannot connect"):
        await LoadClient(environment(f"http://{target}", timeout_s=0.2), ClientPlan(1)).connect()
    async with serving_nothing() as url:
        with pytest.raises(StepFailed, match="no answer in time"):
            await LoadClient(environment(url, timeout_s=0.2), ClientPlan(1)).connect()


async def test_what_is_no_frame_ends_the_connection_and_is_told() -> None:
    async def edge(peer: EdgePeer, socket: Socket) -> None:
        await socket.send_str("hello")
        await until_closed(socket)

    async with serving_edge(EdgePeer(edge)) as url:
        env = environment(url, timeout_s=0.3)
        with pytest.raises(StepFailed):
            await LoadClient(env, ClientPlan(1)).connect()
    assert env.counters.reasons["the server sent something that is no frame"] >= 1


async def test_messages_are_confirmed_or_refused() -> None:
    async def edge(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        await peer.join(socket)
        ids = [(await peer.expect(socket, "chat_message"))["id"] for _ in range(3)]
        await socket.send_json({"type": "message_delivered", "id": ids[0], "data": {"original_type": "chat_message"}})
        await socket.send_json({"type": "message_delivered", "id": ids[0], "data": {"original_type": "chat_message"}})
        data = {"message": "too fast", "error_type": "rate_limited", "code": 429, "retry_after_ms": 5}
        await socket.send_json({"type": "error", "id": ids[1], "data": data})
        await until_closed(socket)

    async def then(client: LoadClient, env: Environment, peer: EdgePeer) -> None:
        outgoing = client.outgoing
        assert outgoing is not None
        for _ in range(3):
            client.send(outgoing.next_frame(now_us()))

        async def answered() -> bool:
            return env.counters.refused == 1

        await eventually(answered)
        counters = env.counters
        assert (counters.sent, counters.confirmed, counters.confirmed_twice) == (3, 1, 1)
        assert counters.reasons == {"refused: rate_limited": 1}
        assert outgoing.unanswered == 1
        assert outgoing.sent() == Sent(3, ((1, 2),))
        assert env.confirmation.count == 1

    await run(ClientPlan(7, ("room",), stream=7), edge, then=then)


async def test_presence_is_counted_by_its_phase() -> None:
    def update(event: str, number: int) -> dict[str, Any]:
        member = {"client_id": f"load-{RUN}-{number}", "connection_type": "chat", "joined_at": "x"}
        return {"type": "presence_update", "data": {"channel": "room", "event": event, "member": member}}

    async def edge(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        assert (await peer.join(socket))["presence"] is True
        # 7 joins and leaves; 8 only joins; the watcher's own, and of somebody else, do not count.
        for event, number in (("join", 1), ("join", 7), ("join", 8), ("join", 7)):
            await socket.send_json(update(event, number))
        stranger = update("join", 7)
        stranger["data"]["member"]["client_id"] = "somebody-7"
        await socket.send_json(stranger)
        await peer.expect(socket, "ping")
        await socket.send_json(update("leave", 7))
        await until_closed(socket)

    async def then(client: LoadClient, env: Environment, peer: EdgePeer) -> None:
        async def joined() -> bool:
            return env.counters.delivered == 3

        env.presence_phase = 0
        await eventually(joined)
        env.presence_phase = 1
        client.send(b'{"type":"ping","data":{}}')

        async def left() -> bool:
            return env.counters.delivered == 4

        await eventually(left)
        sent = {7: Sent(2), 8: Sent(2)}
        assert client.ledger.account([7, 8], sent) == Account(4, 3, duplicated=1, missing=1)

    await run(ClientPlan(1, ("room",), hears=(7, 8), watches=True), edge, then=then)


async def test_phases_of_a_process() -> None:
    """What a process answers, with one client that does not get in."""

    async def good(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        await peer.join(socket)
        await socket.send_json(message(0))
        await until_closed(socket)

    async with serving_edge(EdgePeer(good, goodbye(4000, reconnect=False))) as url:
        env = environment(url)
        phases = Phases(env)
        opened = await phases.do(Open((MEMBER, ClientPlan(2, ("room",), hears=(7,))), at_once=1))
        assert isinstance(opened, Opened)
        assert (opened.done, opened.failed, opened.times.count) == (1, 1, 1)
        assert env.counters.reasons == {"no room": 1}
        drained = await phases.do(Drain({7: Sent(1)}, deadline_s=1.0, settle_s=0.0))
        assert isinstance(drained, Drained)
        assert [each.account for each in drained.accounts] == [Account(1, 1), Account(1, 0, missing=1)]
        await phases.do(Stop())
        assert env.counters.open == 0
