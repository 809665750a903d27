"""protocol.md, errors `timeout`, `unavailable` and `server_error`, close codes 1001 and 1011: when services fail or stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.rogue_session import RogueSession
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration
MakeClients = Callable[..., Clients]

ENDPOINTS = pytest.mark.parametrize("debug", [False, True], ids=["client", "debug"])


@pytest.fixture(scope="module")
def impatient(gateway: Gateway) -> ServiceProcess:
    """An edge that waits one second for its peers."""
    return gateway.another_edge(
        "impatient", session_deadline_s=1, auth_deadline_s=1, auth_outage_grace_s=60, auth_timeout_s=60
    )


@pytest.fixture(scope="module")
def patient(gateway: Gateway) -> ServiceProcess:
    """An edge that waits as long for its session service as a slow machine needs to start one."""
    return gateway.another_edge("patient", session_deadline_s=60)


@pytest.fixture
def made(gateway: Gateway, impatient: ServiceProcess, clients_of: MakeClients, debug: bool) -> Clients:
    return clients_of(Target.of(gateway, impatient), debug=debug)


async def publishes_again(client: ProtocolClient, channel: str) -> None:
    """Return when a message is confirmed: until then every refusal must be one that says to try again."""
    refusals = []

    async def confirmed() -> bool:
        frame_id = await client.send("task_update", {}, channel=channel)
        while (frame := await client.receive()).get("id") != frame_id or frame["type"] == "task_update":
            continue
        if frame["type"] == "error":
            refusals.append(frame["data"]["error_type"])
        return frame["type"] == "message_delivered"

    await eventually(confirmed, what="a message is confirmed again")
    assert set(refusals) <= {"unavailable", "timeout"}


@ENDPOINTS
async def test_session_service_that_does_not_answer(made: Clients, gateway: Gateway) -> None:
    channel = new_name("room")
    client = await made.member(channel)
    gateway.session.freeze()
    try:
        frame_id = await client.send("task_update", {}, channel=channel)
        error = await client.expect_error("timeout", 504, frame_id=frame_id)
        assert error["data"]["details"] == {"safe_to_repeat": True}
        await client.assert_open()
    finally:
        gateway.session.thaw()
    await publishes_again(client, channel)


@ENDPOINTS
async def test_session_service_that_is_gone_and_comes_back(made: Clients, gateway: Gateway) -> None:
    channel = new_name("room")
    client, watcher = await made.member(channel), await made.member(channel)
    first = await client.publish(channel, "before")
    await watcher.take("chat_message", content="before")
    gateway.session.kill9()
    try:
        frame_id = await client.send("chat_message", {"content": "during"}, channel=channel)
        await client.take("chat_message", content="before")
        error = await client.expect_error("unavailable", 503, frame_id=frame_id)
        assert error["data"]["details"] == {"safe_to_repeat": True}
        assert error["data"]["retry_after_ms"] > 0
        await client.assert_open()
    finally:
        gateway.session.start()
    await publishes_again(client, channel)
    after = await client.publish(channel, "after")
    assert after["data"]["epoch"] == first["data"]["epoch"]
    heard = await watcher.take("chat_message", content="after")
    assert heard["offset"] == after["data"]["offset"]


@ENDPOINTS
@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_session_service_that_comes_back_in_time_is_a_pause(
    gateway: Gateway, patient: ServiceProcess, clients_of: MakeClients, debug: bool, how: str
) -> None:
    """Whatever was asked meanwhile is done, in order; nobody is told of an error, and nobody is disconnected."""
    made = clients_of(Target.of(gateway, patient), debug=debug)
    channel, other = new_name("room"), new_name("room")
    client, watcher = await made.member(channel), await made.member(channel)
    if how == "killed":
        gateway.session.kill9()
    else:
        assert gateway.session.stop() == 0
    try:
        sent = [await client.send("task_update", {"n": n}, channel=channel) for n in range(5)]
        joined = await client.send("join_channel", {"channel": other})
        question = await client.send("history", {"channel": channel})
        newcomer = await made.open()
        connecting = await newcomer.send_connect(made.workspace)
    finally:
        await asyncio.to_thread(gateway.session.start)
    for frame_id in sent:
        await client.confirmation(frame_id, "task_update")
    await client.take("subscription_success", frame_id=joined)
    await client.take("history", frame_id=question)
    await newcomer.expect("connection_success", frame_id=connecting)
    heard = [await watcher.take("task_update") for _ in sent]
    assert [frame["data"]["n"] for frame in heard] == list(range(5))
    assert [frame["id"] for frame in heard] == sent


@ENDPOINTS
async def test_auth_service_that_is_away(made: Clients, gateway: Gateway) -> None:
    """Who is in stays in; who comes with an unknown key is told to try again, and may do so on the same connection."""
    channel = new_name("room")
    inside = await made.member(channel)
    await inside.publish(channel, "so that the decision is known")
    admin = gateway.key_admin()
    fresh = admin.create()
    outside = await made.open()
    gateway.auth.kill9()
    try:
        await inside.publish(channel, "still here")
        frame_id = await outside.send_connect(made.workspace, api_key=fresh.api_key)
        await outside.expect_error("unavailable", 503, frame_id=frame_id)
    finally:
        gateway.auth.start()

    async def entered() -> bool:
        frame_id = await outside.send_connect(made.workspace, api_key=fresh.api_key)
        frame = await outside.receive()
        assert frame.get("id") == frame_id
        assert frame["type"] == "connection_success" or frame["data"]["error_type"] == "unavailable"
        return frame["type"] == "connection_success"

    await eventually(entered, what="the key is verified again")


@ENDPOINTS
async def test_defect_is_1011(gateway: Gateway, clients_of: MakeClients, debug: bool) -> None:
    """A peer that breaks the contract is a defect: the connection it concerns is ended, others go on."""
    async with RogueSession() as rogue:
        name = f"defect-{'debug' if debug else 'client'}"
        edge = await asyncio.to_thread(gateway.another_edge, name, session_target=rogue.address)
        made = clients_of(Target.of(gateway, edge), debug=debug)
        channel = new_name("room")
        client, other = await made.member(channel), await made.member(channel)
        frame_id = await client.send("task_update", {}, channel=channel)
        error = await client.expect_error("server_error", 500, frame_id=frame_id, message="Internal server error")
        await client.expect_goodbye(1011, error["data"]["message"])
        await other.assert_open()


@ENDPOINTS
async def test_edge_that_drains_lets_its_clients_go(gateway: Gateway, clients_of: MakeClients, debug: bool) -> None:
    edge = gateway.another_edge(f"drained-{'debug' if debug else 'client'}", drain_s=0.2)
    made = clients_of(Target.of(gateway, edge), debug=debug)
    channel = new_name("room")
    everybody = [await made.member(channel) for _ in range(5)]
    edge.send_sigterm()
    for client in everybody:
        await client.expect_goodbye(1001)
    assert edge.stop() == 0
