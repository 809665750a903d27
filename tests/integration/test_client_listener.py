"""Listener and send_message against real edges that crash, drain and refuse."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.key_admin import MadeKey
from tests.support.protocol_client import new_name
from tests.support.services import Gateway
from tests.support.target import DEVELOPMENT_KEY
from tidewire_client import (
    CallerNotAllowed,
    Channels,
    ConnectionRefused,
    EdgeLogin,
    InvalidRequest,
    Joined,
    Listener,
    Lost,
    Position,
    Received,
    send_message,
)

pytestmark = pytest.mark.integration

DOMAIN = "tests"
DEADLINE_S = 60.0


def login_to(gateway: Gateway, workspace: str, client_id: str = "ann", key: MadeKey | None = None) -> EdgeLogin:
    api_key = DEVELOPMENT_KEY if key is None else key.api_key
    return EdgeLogin(f"http://{gateway.edge.address}", api_key, client_id, DOMAIN, workspace)


def channels_in(gateway: Gateway, workspace: str) -> Channels:
    return Channels(
        gateway.session.address,
        token=gateway.service_token,
        client_id="backend",
        domain=DOMAIN,
        workspace=workspace,
        deadline_s=30.0,
    )


async def take(listener: Listener, count: int, *, acknowledge: bool = False) -> list[Any]:
    """Return the contents of the next messages."""
    contents: list[Any] = []
    async with asyncio.timeout(DEADLINE_S):
        async for event in listener:
            assert not isinstance(event, Lost), event
            if isinstance(event, Received):
                contents.append(event.frame.data["content"])
                if acknowledge:
                    listener.acknowledge(event)
            if len(contents) == count:
                break
    return contents


async def joined(listener: Listener) -> Joined:
    async with asyncio.timeout(DEADLINE_S):
        while not isinstance(event := await anext(listener), Joined):
            pass
    return event


async def test_what_is_sent_is_heard(shared_gateway: Gateway) -> None:
    login = login_to(shared_gateway, new_name("w"))
    async with Listener(login, "lobby") as listener:
        await joined(listener)
        confirmed = await send_message(login, "lobby", {"content": "hi"}, message_id="m-1")
        assert await take(listener, 1) == ["hi"]
        again = await send_message(login, "lobby", {"content": "hi"}, message_id="m-1")
        assert again == confirmed
        assert confirmed.position.offset == 1


async def test_history_since_and_last_acked(shared_gateway: Gateway) -> None:
    login = login_to(shared_gateway, new_name("w"))
    places = [(await send_message(login, "lobby", {"content": n})).position for n in range(5)]
    async with Listener(login, "lobby", history=2) as listener:
        assert await take(listener, 2) == [3, 4]
    async with Listener(login, "lobby", history=100) as listener:
        assert await take(listener, 5) == [0, 1, 2, 3, 4]
    async with Listener(login, "lobby", since={"lobby": places[0]}) as listener:
        assert await take(listener, 2, acknowledge=True) == [1, 2]
    async with Listener(login, "lobby", last_acked=True) as listener:
        assert await take(listener, 2) == [3, 4]
    async with Listener(login_to(shared_gateway, login.workspace, "bob"), "lobby", last_acked=True) as listener:
        assert (await joined(listener)).position == places[-1]


async def test_another_life_of_a_channel_is_told_as_a_loss(shared_gateway: Gateway) -> None:
    login = login_to(shared_gateway, new_name("w"))
    await send_message(login, "lobby", {"content": "kept"})
    async with Listener(login, "lobby", since={"lobby": Position("another", 7)}) as listener:
        events = [await anext(listener) for _ in range(3)]
    assert [type(event) for event in events] == [Joined, Lost, Received]
    assert isinstance(events[1], Lost)
    assert events[1].reason == "epoch_changed"


async def test_a_key_that_is_revoked_ends_it(shared_gateway: Gateway) -> None:
    admin = shared_gateway.key_admin()
    key = admin.create()
    async with Listener(login_to(shared_gateway, new_name("w"), key=key), "lobby") as listener:
        await joined(listener)
        await asyncio.to_thread(admin.revoke, key)
        with pytest.raises(ConnectionRefused) as raised:
            await take(listener, 1)
    assert (raised.value.code, raised.value.error_type) == (4000, "key_revoked")
    with pytest.raises(ConnectionRefused) as raised:
        await send_message(login_to(shared_gateway, "w", key=key), "lobby", {"content": "hi"})
    assert key.api_key not in str(raised.value)


async def test_what_the_key_does_not_allow(shared_gateway: Gateway) -> None:
    workspace = new_name("w")
    login = login_to(
        shared_gateway, workspace, key=shared_gateway.key_admin().create(["join:lobby"], workspaces=[workspace])
    )
    async with Listener(login, "ops") as listener:
        with pytest.raises(CallerNotAllowed, match="join:ops"):
            await anext(listener)
    with pytest.raises(CallerNotAllowed, match="publish:lobby"):
        await send_message(login, "lobby", {"content": "hi"})
    elsewhere = EdgeLogin(login.url, login.api_key, "ann", DOMAIN, "elsewhere")
    with pytest.raises(CallerNotAllowed):
        await send_message(elsewhere, "lobby", {"content": "hi"})


async def test_what_breaks_a_rule(shared_gateway: Gateway) -> None:
    login = login_to(shared_gateway, new_name("w"))
    with pytest.raises(InvalidRequest, match="channel name"):
        await send_message(login, "bad name", {"content": "hi"})
    with pytest.raises(InvalidRequest, match="content"):
        await send_message(login, "lobby", {"no": "content"})
    with pytest.raises(InvalidRequest, match="client id"):
        await send_message(login_to(shared_gateway, "w", "a b"), "lobby", {"content": "hi"})


async def test_over_crashes_of_every_service_each_message_is_heard_once(gateway: Gateway) -> None:
    """A back end publishes without a pause; edge, session and auth service are killed under listener and publisher."""
    workspace, total = new_name("w"), 400
    published = 0
    moved = asyncio.Event()

    async def publish(channels: Channels) -> None:
        nonlocal published
        for number in range(total):
            await channels.publish("lobby", {"content": number}, message_id=f"m-{number}")
            published = number
            moved.set()

    async def crash() -> None:
        for threshold, process in (
            (50, gateway.edge),
            (150, gateway.session),
            (250, gateway.auth),
            (300, gateway.edge),
        ):
            while published < threshold:
                moved.clear()
                await moved.wait()
            await asyncio.to_thread(process.restart_after_kill9)

    async with channels_in(gateway, workspace) as channels, Listener(login_to(gateway, workspace), "lobby") as listener:
        await joined(listener)
        async with asyncio.TaskGroup() as group:
            group.create_task(publish(channels))
            group.create_task(crash())
            heard = group.create_task(take(listener, total))
        assert heard.result() == list(range(total))


async def test_sending_goes_on_over_a_crash_of_the_edge(gateway: Gateway) -> None:
    login = login_to(gateway, new_name("w"))
    await send_message(login, "lobby", {"content": 0})
    gateway.edge.kill9()
    sending = asyncio.create_task(send_message(login, "lobby", {"content": 1}, deadline_s=30.0))
    await asyncio.to_thread(gateway.edge.start)
    assert (await sending).position.offset == 2


async def test_it_comes_back_to_an_edge_that_drained(gateway: Gateway) -> None:
    workspace = new_name("w")
    async with channels_in(gateway, workspace) as channels, Listener(login_to(gateway, workspace), "lobby") as listener:
        await joined(listener)
        listening = asyncio.create_task(take(listener, 2))
        await channels.publish("lobby", {"content": "before"})
        assert await asyncio.to_thread(gateway.edge.stop) == 0
        await channels.publish("lobby", {"content": "meanwhile"})
        await asyncio.to_thread(gateway.edge.start)
        assert await listening == ["before", "meanwhile"]
