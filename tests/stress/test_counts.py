"""Members of a channel, channels in use, keys in the store: one more is refused in words, and who is there notices nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from tests.stress.process_watch import counted, reason_of
from tests.support.http_client import http_async
from tests.support.protocol_client import Clients, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

MEMBERS = 5
THREADS = 2
KEYS = 10
# Three development keys are there from the start.
FREE_KEYS = KEYS - 3
CHANNELS_IN_USE = 6
# Of the only client: the broadcasts of its workspace, and its inbox.
STANDING = 2


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway in which these limits are near."""
    made = Gateway(
        tmp_path_factory.mktemp("small"),
        auth={"max-keys": KEYS, "metrics-port": 0},
        session={"max-members": MEMBERS, "max-edges": 1, "max-threads": THREADS, "metrics-port": 0},
    )
    with made:
        yield made


@pytest.fixture
async def clients(small: Gateway) -> AsyncIterator[Clients]:
    async with Clients(Target.of(small)) as made:
        yield made


async def test_a_channel_that_is_full(small: Gateway, clients: Clients) -> None:
    channel = new_name("room")
    members = [await clients.member(channel) for _ in range(MEMBERS)]
    outside = await clients.connected()
    before = await counted(small.edge, "tidewire_edge_errors_total", 'error_type="channel_error"')
    frame_id = await outside.send("join_channel", {"channel": channel})
    error = await outside.expect_refusal("channel_error", 409, frame_id=frame_id)
    assert error["channel"] == channel
    assert error["data"]["message"] == f"Channel is full: at most {MEMBERS} members"
    assert await counted(small.edge, "tidewire_edge_errors_total", 'error_type="channel_error"') == before + 1
    await members[0].publish(channel, "for members")
    for member in members:
        await member.take("chat_message", content="for members")
    await outside.assert_open()
    await outside.join(new_name("another"))
    again = await clients.connected(members[0].client_id)
    await again.join(channel)  # a client counts once, however many connections it has
    await members[1].send("leave_channel", {"channel": channel})
    await members[1].take("unsubscription_success")
    await outside.join(channel)


async def test_a_workspace_with_as_many_threads_as_it_may_have(small: Gateway, clients: Clients) -> None:
    url = f"http://{small.edge.address}/api/chat/threads?domain=tests&workspace={clients.workspace}"
    headers = {"Authorization": f"Bearer {clients.target.api_key}"}
    thread = {"title": "one more"}
    for _ in range(THREADS):
        assert (await http_async("POST", url, headers=headers, json_body=thread)).status == 201
    refused = await http_async("POST", url, headers=headers, json_body=thread)
    error = refused.json()["error"]
    assert (refused.status, error["error_type"], error["code"]) == (503, "unavailable", 503)
    assert f"{THREADS} threads" in error["message"]


async def test_one_edge_more_than_a_session_service_takes(small: Gateway, clients: Clients) -> None:
    """It says why it is not ready, goes on trying, and takes the place of another that goes."""
    channel = new_name("room")
    client = await clients.member(channel)
    edge = small.make_edge("one-too-many")
    await asyncio.to_thread(edge.start)

    async def refused() -> bool:
        return await counted(edge, "tidewire_edge_stream_attach_failures_total") > 1

    await eventually(refused, what="the edge is refused")
    assert await asyncio.to_thread(reason_of, edge) == "no session service is attached"
    await client.publish(channel, "the first notices nothing")
    await asyncio.to_thread(small.edge.stop)
    await asyncio.to_thread(small.wait_ready, edge)
    await asyncio.to_thread(edge.stop)
    await asyncio.to_thread(small.edge.start)
    await asyncio.to_thread(small.wait_ready)


async def test_a_key_store_that_is_full(small: Gateway) -> None:
    admin = small.key_admin()
    made = [await asyncio.to_thread(admin.create) for _ in range(FREE_KEYS)]
    refused = 'reason="LIMIT_EXCEEDED"'
    for what in (admin.create, lambda: admin.rotate(made[0], grace_s=60)):
        with pytest.raises(grpc.RpcError) as fault:
            await asyncio.to_thread(what)
        assert fault.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"{KEYS} keys" in str(fault.value.details())
    assert await counted(small.auth, "tidewire_auth_rpc_faults_total", refused) == 2
    async with Clients(Target.of(small)) as clients:
        for key in made:
            await clients.connected(api_key=key.api_key)
        await asyncio.to_thread(admin.delete, made[0])
        fresh = await asyncio.to_thread(admin.create)
        await clients.connected(api_key=fresh.api_key)


async def test_channels_in_use(tmp_path: Path) -> None:
    """A session service with as many active channels as it may have brings no other to life; those that live go on."""
    gateway = Gateway(
        tmp_path, session={"max-active-channels": CHANNELS_IN_USE, "metrics-port": 0}, edge={"session-deadline-s": 20}
    )
    async with gateway, Clients(Target.of(gateway)) as clients:
        client = await clients.connected()
        joined = []
        while True:
            channel = new_name("room")
            frame_id = await client.send("join_channel", {"channel": channel})
            answer = await client.receive()
            if answer["type"] == "error":
                break
            assert answer["type"] == "message_delivered"
            await client.expect("subscription_success", channel=channel)
            joined.append(channel)
        assert answer["id"] == frame_id
        assert (answer["data"]["error_type"], answer["data"]["code"]) == ("unavailable", 503)
        assert f"limit reached: {CHANNELS_IN_USE} active channels" in answer["data"]["message"]
        assert answer["data"]["details"] == {"safe_to_repeat": True}
        assert len(joined) == CHANNELS_IN_USE - STANDING
        assert await counted(gateway.session, "tidewire_session_channels") == CHANNELS_IN_USE
        for channel in joined:
            await client.publish(channel, "still")
            await client.take("chat_message", content="still")
