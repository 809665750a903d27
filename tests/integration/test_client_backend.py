"""What back ends do with the client, against real services: publish, read, disconnect, threads, keys, and all over a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.support.key_admin import ACTS_WITHIN_S
from tests.support.protocol_client import Clients, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually
from tidewire_client import (
    CallerNotAllowed,
    Channels,
    FailedPrecondition,
    InvalidRequest,
    KeyAdmin,
    KeyState,
    LimitExceeded,
    Loss,
    NotFound,
    Position,
    Receipt,
    ServiceUnavailable,
    Threads,
)

pytestmark = pytest.mark.integration

DOMAIN = "tests"
ClientsOf = Callable[..., Clients]


def channels_in(gateway: Gateway, workspace: str, **more: Any) -> Channels:
    options = {"token": gateway.service_token, "client_id": "backend", "domain": DOMAIN, **more}
    return Channels(gateway.session.address, workspace=workspace, **options)


@pytest.fixture
async def clients(shared_gateway: Gateway, clients_of: ClientsOf) -> Clients:
    return clients_of(Target.of(shared_gateway))


@pytest.fixture
async def channels(shared_gateway: Gateway, clients: Clients) -> AsyncIterator[Channels]:
    """The channels of the clients' workspace."""
    async with channels_in(shared_gateway, clients.workspace) as made:
        yield made


async def test_a_published_message_reaches_members_and_history(channels: Channels, clients: Clients) -> None:
    member = await clients.member("lobby")
    data = '{ "content" : "gr\u00fc\u00df",  "n": 1.0e2 }'.encode()
    published = await channels.publish("lobby", data, message_type="chat_message")
    seen = await member.expect("chat_message", channel="lobby", content="gr\u00fc\u00df")
    assert (seen["id"], seen["client_id"]) == (published.id, "backend")
    assert Position(seen["epoch"], seen["offset"]) == published.position
    page = await channels.history("lobby")
    assert [(m.id, m.data, m.position, m.type) for m in page.messages] == [
        (published.id, data, published.position, "chat_message")
    ]
    assert page.messages[0].time == published.time
    assert not published.duplicate


async def test_a_message_published_twice_is_stored_once(channels: Channels, clients: Clients) -> None:
    member = await clients.member("lobby")
    first = await channels.publish("lobby", {"content": "once"}, message_id="m-1")
    second = await channels.publish("lobby", {"content": "once"}, message_id="m-1")
    assert (second.position, second.duplicate) == (first.position, True)
    other = await channels.publish("lobby", {"content": "once"}, message_id="m-1", client_id="other")
    assert other.position.offset == first.position.offset + 1
    assert [(await member.receive())["offset"] for _ in range(2)] == [1, 2]
    await member.assert_open()


async def test_history_is_read_in_pages(channels: Channels) -> None:
    for number in range(5):
        await channels.publish("lobby", {"content": number})
    last = await channels.history("lobby", limit=2)
    assert [m.json()["content"] for m in last.messages] == [3, 4]
    first = await channels.history("lobby", since=Position("", 0), limit=2)
    assert ([m.json()["content"] for m in first.messages], first.more, first.loss) == ([0, 1], True, None)
    rest = await channels.history("lobby", since=first.messages[-1].position)
    assert ([m.json()["content"] for m in rest.messages], rest.more) == ([2, 3, 4], False)
    assert rest.newest == rest.messages[-1].position
    other_life = await channels.history("lobby", since=Position("another", 3))
    assert other_life.loss is Loss.EPOCH_CHANGED


async def test_a_broadcast_reaches_every_connection_of_the_workspace(
    channels: Channels, clients: Clients, shared_gateway: Gateway
) -> None:
    one, two = await clients.connected(), await clients.connected()
    stranger = await clients.connected(workspace=new_name("w"))
    sent = await channels.broadcast({"note": "all"}, message_id="b-1")
    for client in (one, two):
        frame = await client.expect("broadcast", channel="*", note="all")
        assert (frame["id"], frame["offset"]) == (sent.id, sent.position.offset)
    assert (await channels.broadcast({"note": "all"}, message_id="b-1")).position == sent.position
    await stranger.assert_open()
    await one.assert_open()


async def test_a_direct_message_waits_for_its_addressee(channels: Channels, clients: Clients) -> None:
    await channels.send_direct("alice", {"text": "psst"}, message_id="d-1")
    alice = await clients.connected("alice")
    frame = await alice.expect("direct_message", channel="@alice", text="psst")
    assert frame["client_id"] == "backend"


async def test_presence_and_receipt(channels: Channels, clients: Clients) -> None:
    alice, bob = await clients.member("lobby", "alice"), await clients.member("lobby", "bob")
    members = await channels.presence("lobby")
    assert [(m.client_id, m.connection_type) for m in members] == [("alice", "chat"), ("bob", "chat")]
    assert members[0].join_time <= members[1].join_time
    published = await channels.publish("lobby", {"content": "hi"})
    place = published.position
    for member in (alice, bob):
        await member.expect("channel_message")
    await alice.send("ack", {"channel": "lobby", "epoch": place.epoch, "offset": place.offset})
    await alice.assert_open()

    async def arrived() -> bool:
        return await channels.receipt("lobby", place.offset) == Receipt(place, written=2, acknowledged=1)

    await eventually(arrived, what="two members got it, and one acknowledged it")


@pytest.mark.parametrize(("reconnect", "code"), [(False, 1000), (True, 1001)])
async def test_a_client_is_disconnected(channels: Channels, clients: Clients, reconnect: bool, code: int) -> None:
    alice, again = await clients.connected("alice"), await clients.connected("alice")
    bob = await clients.connected("bob")
    assert await channels.disconnect("alice", reason="maintenance", reconnect=reconnect) == 2
    for connection in (alice, again):
        await connection.expect_goodbye(code, "maintenance")
    await bob.assert_open()


async def test_a_client_that_is_not_there_is_not_found(channels: Channels) -> None:
    with pytest.raises(NotFound) as raised:
        await channels.disconnect("nobody")
    assert raised.value.reason == "CLIENT_NOT_FOUND"


async def test_what_breaks_a_rule_is_refused_with_its_field(channels: Channels) -> None:
    for call, field in (
        (channels.publish("bad name", {}), "channel"),
        (channels.publish("a", b"[]"), "data"),
        (channels.publish("a", b"{"), "data"),
        (channels.publish("a", {}, message_id="x" * 65), "id"),
        (channels.publish("a", {}, client_id="a b"), "client_id"),
        (channels.publish("a", {}, message_type="unknown"), "type"),
        (channels.history("a", limit=1001), "limit"),
        (channels.receipt("a", 0), "offset"),
    ):
        with pytest.raises(InvalidRequest) as raised:
            await call
        assert (raised.value.field, raised.value.reason) == (field, "INVALID_FIELD")
    with pytest.raises(LimitExceeded):
        await channels.publish("a", {"content": "x" * 70_000})


async def test_a_key_does_what_its_permissions_allow(shared_gateway: Gateway, clients: Clients) -> None:
    key = shared_gateway.key_admin().create(["publish:lobby", "history:lobby"], workspaces=[clients.workspace])
    async with channels_in(shared_gateway, clients.workspace, token=key.api_key) as channels:
        await channels.publish("lobby", {"content": "hi"})
        assert len((await channels.history("lobby")).messages) == 1
        for call in (
            channels.publish("ops", {}),
            channels.presence("lobby"),
            channels.broadcast({}),
            channels.send_direct("alice", {}),
            channels.disconnect("alice"),
        ):
            with pytest.raises(CallerNotAllowed) as raised:
                await call
            assert key.api_key not in str(raised.value)
    async with channels_in(shared_gateway, new_name("w"), token=key.api_key) as elsewhere:
        with pytest.raises(CallerNotAllowed):
            await elsewhere.publish("lobby", {})


async def test_a_revoked_key_is_refused_at_once(shared_gateway: Gateway, clients: Clients) -> None:
    admin = shared_gateway.key_admin()
    key = admin.create()
    async with channels_in(shared_gateway, clients.workspace, token=key.api_key) as channels:
        await channels.publish("lobby", {})
        admin.revoke(key)

        async def refused() -> bool:
            try:
                await channels.history("lobby")
            except CallerNotAllowed:
                return True
            return False

        await eventually(refused, ACTS_WITHIN_S, "the revoked key is refused")


async def test_an_unknown_credential_is_refused(shared_gateway: Gateway) -> None:
    async with channels_in(shared_gateway, "w", token="unknown") as channels:
        with pytest.raises(CallerNotAllowed) as raised:
            await channels.publish("lobby", {})
    assert raised.value.reason == "CALLER_UNKNOWN"


async def test_threads(shared_gateway: Gateway, channels: Channels, clients: Clients) -> None:
    async with Threads(
        shared_gateway.session.address, token=shared_gateway.service_token, domain=DOMAIN, workspace=clients.workspace
    ) as threads:
        made = await threads.create(title="Plans", created_by="backend", metadata={"n": 1})
        assert (made.channel, made.metadata, made.message_count) == (f"thread:{made.id}", b'{"n":1}', 0)
        assert await threads.create(title="Other", created_by="backend", thread_id=made.id) == made
        await channels.publish(made.channel, {"content": "hi"}, message_type="chat_message", thread_id=made.id)
        assert (await threads.get(made.id)).message_count == 1
        said = await threads.messages_page(made.id)
        assert ([m.json() for m in said.messages], said.total) == ([{"content": "hi"}], 1)
        await threads.create(created_by="backend", thread_id="second")
        page = await threads.list_page(page_size=1)
        assert ([t.id for t in page.threads], page.total) == (["second"], 2)
        following = await threads.list_page(page_size=1, page_token=page.next_page_token)
        assert [t.id for t in following.threads] == [made.id]
        with pytest.raises(NotFound):
            await threads.get("none")


async def test_the_life_of_a_key(shared_gateway: Gateway) -> None:
    owner = new_name("owner")
    async with KeyAdmin(shared_gateway.auth.address, token=shared_gateway.service_token) as admin:
        made = await admin.create(owner, ["join:lobby"], name="n", environment="test")
        shared_gateway.canaries.add(made.api_key)
        assert made.api_key.startswith(f"tw_test_{made.key.key_id}_")
        assert await admin.get(made.key.key_id) == made.key
        disabled = await admin.disable(made.key.key_id, reason="for now")
        assert (disabled.state, disabled.state_reason) == (KeyState.DISABLED, "for now")
        assert (await admin.enable(made.key.key_id)).state is KeyState.ACTIVE
        assert (await admin.revoke(made.key.key_id)).state is KeyState.REVOKED
        assert (await admin.revoke(made.key.key_id)).state is KeyState.REVOKED
        with pytest.raises(FailedPrecondition):
            await admin.enable(made.key.key_id)
        with pytest.raises(NotFound):
            await admin.get("none")
        with pytest.raises(InvalidRequest) as raised:
            await admin.create(owner, ["nonsense"])
        assert raised.value.field == "permissions[0]"
        second = await admin.create(owner, ["join:*"])
        shared_gateway.canaries.add(second.api_key)
        assert [key.key_id async for key in admin.list_all(owner=owner)] == [made.key.key_id, second.key.key_id]
        page = await admin.list_page(owner=owner, page_size=1)
        assert [key.key_id for key in page.keys] == [made.key.key_id]


async def test_only_administrators_make_keys(shared_gateway: Gateway) -> None:
    key = shared_gateway.key_admin().create(["join:*"])
    async with KeyAdmin(shared_gateway.auth.address, token=key.api_key) as admin:
        with pytest.raises(CallerNotAllowed) as raised:
            await admin.create("x", ["*:*"])
    assert raised.value.reason == "CALLER_NOT_ALLOWED"
    assert raised.value.safe_to_repeat


async def test_publishing_goes_on_over_a_crash_of_the_session_service(gateway: Gateway) -> None:
    """Ten publishers, each in its own order; the service is killed twice under them. Nothing is lost, nothing is twice."""
    workspace, per_publisher = new_name("w"), 60
    confirmed: dict[str, Position] = {}
    progressed = asyncio.Event()

    async def publisher(channels: Channels, name: str) -> None:
        for number in range(per_publisher):
            data = {"from": name, "number": number}
            published = await channels.publish("lobby", data, client_id=name, message_id=f"{name}-{number}")
            confirmed[published.id] = published.position
            progressed.set()

    async def crash() -> None:
        for threshold in (100, 300):
            while len(confirmed) < threshold:
                progressed.clear()
                await progressed.wait()
            await asyncio.to_thread(gateway.session.restart_after_kill9)

    async with channels_in(gateway, workspace, deadline_s=30.0) as channels:
        async with asyncio.timeout(100), asyncio.TaskGroup() as group:
            group.create_task(crash())
            for index in range(10):
                group.create_task(publisher(channels, f"p{index}"))
        stored = (await channels.history("lobby", since=Position("", 0), limit=1000)).messages
    assert len(confirmed) == 10 * per_publisher
    assert {m.id: m.position for m in stored} == confirmed
    assert len(stored) == len(confirmed)
    assert [m.position.offset for m in stored] == list(range(1, len(stored) + 1))
    for index in range(10):
        numbers = [m.json()["number"] for m in stored if m.client_id == f"p{index}"]
        assert numbers == list(range(per_publisher))


async def test_a_session_service_that_hangs_gets_a_second_attempt(gateway: Gateway) -> None:
    async with channels_in(gateway, new_name("w"), deadline_s=20.0, attempt_s=0.5) as channels:
        await channels.publish("lobby", {"content": "before"})
        gateway.session.freeze()
        try:
            publishing = asyncio.create_task(channels.publish("lobby", {"content": "during"}))
            done, _ = await asyncio.wait({publishing}, timeout=1.2)
            assert not done
        finally:
            gateway.session.thaw()
        published = await publishing
        assert published.position.offset == 2
        assert len((await channels.history("lobby")).messages) == 2


async def test_a_session_service_that_stays_away_is_told_with_the_deadline(gateway: Gateway) -> None:
    gateway.session.kill9()
    try:
        async with channels_in(gateway, new_name("w"), deadline_s=0.5) as channels:
            with pytest.raises(ServiceUnavailable, match="the session service cannot be reached") as raised:
                await channels.publish("lobby", {}, message_id="m-1")
            assert raised.value.safe_to_repeat
    finally:
        gateway.session.start()
