"""protocol.md: a key that is revoked, disabled or expired acts at once, on every edge, on live connections too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.key_admin import ACTS_WITHIN_S, KeyAdmin, MadeKey
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, ProtocolClient, assert_frame, check_error
from tests.support.services import Gateway
from tests.support.target import Target

pytestmark = pytest.mark.integration

# Long enough for a slow machine to do what is to be done before they are over.
GRACE_S = 3.0
LIFE_S = 3.0


async def expect_end(client: ProtocolClient, error_type: str, message: str) -> None:
    await client.expect_error(error_type, 403, message=message)
    await client.expect_goodbye(4000, message)


async def expect_refused(clients: Clients, key: MadeKey, error_type: str, message: str) -> None:
    """Who comes with the key is refused. Of several edges one may hear of it a moment later: whom it lets in, it lets go."""
    deadline_s = time.monotonic() + ACTS_WITHIN_S
    while True:
        client = await clients.open()
        frame_id = await client.send_connect(clients.workspace, api_key=key.api_key)
        first = await client.receive()
        if first["type"] != "connection_success":
            break
        assert Target.from_environment() is not None, "there is one edge, and it knows"
        assert time.monotonic() < deadline_s
        await client.expect("message_delivered")
        await expect_end(client, error_type, message)
    client.observe_error(check_error(first, error_type, 403, message))
    assert first["id"] == frame_id
    await client.expect_goodbye(4000)


async def test_revoked_key(clients: Clients, key_admin: KeyAdmin) -> None:
    key = key_admin.create()
    live = [await clients.connected(api_key=key.api_key) for _ in range(3)]
    other = await clients.connected()
    began = time.monotonic()
    await asyncio.to_thread(key_admin.revoke, key)
    for client in live:
        await expect_end(client, "key_revoked", "API key revoked")
    assert time.monotonic() - began < ACTS_WITHIN_S
    await other.assert_open()
    await expect_refused(clients, key, "key_revoked", "API key revoked")


async def test_disabled_key_and_enabled_again(clients: Clients, key_admin: KeyAdmin) -> None:
    key = key_admin.create()
    live = await clients.connected(api_key=key.api_key)
    await asyncio.to_thread(key_admin.disable, key)
    await expect_end(live, "key_disabled", "API key disabled")
    await expect_refused(clients, key, "key_disabled", "API key disabled")
    await asyncio.to_thread(key_admin.enable, key)

    async def let_in() -> bool:
        client = await clients.open()
        await client.send_connect(clients.workspace, api_key=key.api_key)
        return (await client.receive())["type"] == "connection_success"

    deadline = time.monotonic() + ACTS_WITHIN_S
    while not await let_in():
        assert time.monotonic() < deadline


async def test_key_that_expires(clients: Clients, make_key: Callable[..., MadeKey]) -> None:
    key = make_key(expires_in_s=LIFE_S)
    live = await clients.connected(api_key=key.api_key)
    await expect_end(live, "token_expired", "Token expired")
    refused = await clients.open()
    frame_id = await refused.send_connect(clients.workspace, api_key=key.api_key)
    await refused.expect_error("token_expired", 403, frame_id=frame_id, message="Token expired")
    await refused.expect_goodbye(4000)


async def test_a_deleted_key(clients: Clients, key_admin: KeyAdmin) -> None:
    key = key_admin.create()
    live = [await clients.connected(api_key=key.api_key) for _ in range(2)]
    await asyncio.to_thread(key_admin.delete, key)
    for client in live:
        await expect_end(client, "invalid_key", "Invalid API key")
    await expect_refused(clients, key, "invalid_key", "Invalid API key")


async def test_a_rotated_key_lives_until_the_end_of_its_grace(clients: Clients, key_admin: KeyAdmin) -> None:
    old = key_admin.create()
    live = await clients.connected(api_key=old.api_key)
    began_s = time.monotonic()
    new = await asyncio.to_thread(lambda: key_admin.rotate(old, grace_s=GRACE_S))
    successor = await clients.connected(api_key=new.api_key)
    await live.expect("auth_status", status="authenticated")
    await (await clients.connected(api_key=old.api_key)).assert_open()
    await live.assert_open()
    await expect_end(live, "token_expired", "Token expired")
    assert GRACE_S - 0.1 < time.monotonic() - began_s < GRACE_S + ACTS_WITHIN_S
    await successor.assert_open()
    late = await clients.open()
    await late.send_connect(clients.workspace, api_key=old.api_key)
    await expect_end(late, "token_expired", "Token expired")


async def test_a_key_that_is_rotated_without_grace(clients: Clients, key_admin: KeyAdmin) -> None:
    old = key_admin.create()
    live = await clients.connected(api_key=old.api_key)
    new = await asyncio.to_thread(lambda: key_admin.rotate(old, grace_s=0))
    await expect_end(live, "token_expired", "Token expired")
    await clients.connected(api_key=new.api_key)


async def test_an_expiry_that_is_put_off_reaches_live_connections(clients: Clients, key_admin: KeyAdmin) -> None:
    later, never = [await asyncio.to_thread(lambda: key_admin.create(expires_in_s=LIFE_S)) for _ in range(2)]
    witness = await asyncio.to_thread(lambda: key_admin.create(expires_in_s=LIFE_S + 0.5))
    live = [await clients.connected(api_key=key.api_key) for key in (later, never)]
    ends = await clients.connected(api_key=witness.api_key)
    await asyncio.to_thread(lambda: key_admin.update(later, expires_in_s=60))
    await asyncio.to_thread(key_admin.never_expires, never)
    # By now the others would have gone, too.
    await expect_end(ends, "token_expired", "Token expired")
    for client in live:
        await client.expect("auth_status", status="authenticated")
        await client.assert_open()
    for key in (later, never):
        await clients.connected(api_key=key.api_key)


async def test_an_expiry_that_is_brought_forward_reaches_live_connections(
    clients: Clients, key_admin: KeyAdmin
) -> None:
    key = await asyncio.to_thread(lambda: key_admin.create(expires_in_s=600))
    forever = key_admin.create()
    live = [await clients.connected(api_key=each.api_key) for each in (key, forever)]
    for each in (key, forever):
        await asyncio.to_thread(lambda each=each: key_admin.update(each, expires_in_s=1.0))  # type: ignore[misc]
    for client in live:
        await client.expect("auth_status", status="authenticated")
        await expect_end(client, "token_expired", "Token expired")


async def test_a_narrowed_key_loses_just_the_channels_it_may_no_longer_see(
    clients: Clients, key_admin: KeyAdmin
) -> None:
    """What goes on misses nothing, and what is lost brings nothing more."""
    key = key_admin.create(["join:*", "publish:*"])
    live = await clients.connected(api_key=key.api_key)
    for channel in ("kept", "lost"):
        await live.join(channel)
    writer = await clients.connected()
    for channel in ("kept", "lost"):
        await writer.join(channel)
    sent: list[str] = []

    async def write() -> None:
        for number in range(30):
            for channel in ("kept", "lost"):
                sent.append(f"{channel} {number}")
                await writer.publish(channel, sent[-1])

    writing = asyncio.create_task(write())
    await asyncio.to_thread(lambda: key_admin.update(key, permissions=["join:kept", "publish:*"]))
    await writing
    frame_id = await live.send("ping", {})
    frames: list[dict[str, Any]] = []
    while not frames or frames[-1]["type"] != "pong":
        frames.append(await live.receive())
    assert frames.pop()["id"] == frame_id
    kinds = [frame["type"] for frame in frames]
    gone = kinds.index("unsubscription_success")
    assert_frame(frames[gone], "unsubscription_success", channel="lost", reason="permission_denied")
    assert [kind for kind in kinds if kind != "chat_message"] == ["unsubscription_success", "auth_status"]
    told = [frame["data"]["content"] for frame in frames if frame["type"] == "chat_message"]
    assert [text for text in told if text.startswith("kept")] == [text for text in sent if text.startswith("kept")]
    lost = [text for text in told if text.startswith("lost")]
    assert lost == [text for text in sent if text.startswith("lost")][: len(lost)]
    assert not [frame for frame in frames[gone:] if frame["data"].get("content") in lost]
    frame_id = await live.send("join_channel", {"channel": "lost"})
    await live.expect_error("permission_denied", 403, frame_id=frame_id)
    # Given back, it may come again.
    await asyncio.to_thread(lambda: key_admin.update(key, permissions=["join:*"]))
    await live.expect("auth_status", status="authenticated")
    await live.join("lost")


@pytest.mark.parametrize("where", ["domains", "workspaces"])
async def test_a_key_that_is_no_longer_allowed_where_its_connections_are(
    clients: Clients, key_admin: KeyAdmin, where: str
) -> None:
    key = key_admin.create()
    inside = await clients.connected(api_key=key.api_key)
    other = {"domain": "elsewhere"} if where == "domains" else {"workspace": "elsewhere"}
    outside = await clients.connected(api_key=key.api_key, **other)
    allowed = {"domains": ["tests"]} if where == "domains" else {"workspaces": [clients.workspace]}
    await asyncio.to_thread(lambda: key_admin.update(key, **allowed))
    await expect_end(outside, "permission_denied", "API key is no longer allowed here")
    await inside.expect("auth_status", status="authenticated")
    await inside.assert_open()


async def test_changed_limits_reach_live_connections(clients: Clients, key_admin: KeyAdmin) -> None:
    key = key_admin.create()
    live = await clients.connected(api_key=key.api_key)
    await live.join("first")
    await asyncio.to_thread(lambda: key_admin.update(key, limits={"max_channels": 1, "frames_burst": 3}))
    await live.expect("auth_status", status="authenticated")
    frame_id = await live.send("join_channel", {"channel": "second"})
    await live.expect_error("channel_error", 409, frame_id=frame_id)
    await asyncio.to_thread(lambda: key_admin.update(key, limits={}))
    await live.expect("auth_status", status="authenticated")
    await live.join("second")


async def test_wrong_secret_of_a_known_key_cannot_be_told_from_an_unknown_one(
    clients: Clients, make_key: Callable[..., MadeKey]
) -> None:
    text = make_key().api_key
    client = await clients.open()
    frame_id = await client.send_connect(clients.workspace, api_key=text[:-1] + ("a" if text[-1] != "a" else "b"))
    await client.expect_error("invalid_key", 403, frame_id=frame_id, message="Invalid API key")
    await client.expect_goodbye(4000)


@pytest.fixture(scope="module")
def edges(gateway: Gateway) -> list[ServiceProcess]:
    """Two edges on the same services."""
    return [gateway.edge, gateway.another_edge("second")]


CHANGES: list[tuple[str, Callable[[KeyAdmin, MadeKey], object], str, str]] = [
    ("revoke", lambda admin, key: admin.revoke(key), "key_revoked", "API key revoked"),
    ("disable", lambda admin, key: admin.disable(key), "key_disabled", "API key disabled"),
    ("delete", lambda admin, key: admin.delete(key), "invalid_key", "Invalid API key"),
    ("expire", lambda admin, key: admin.update(key, expires_in_s=0.5), "token_expired", "Token expired"),
    ("rotate", lambda admin, key: admin.rotate(key, grace_s=0.5), "token_expired", "Token expired"),
    (
        "forbid",
        lambda admin, key: admin.update(key, domains=["elsewhere"]),
        "permission_denied",
        "API key is no longer allowed here",
    ),
]


@pytest.mark.parametrize(
    ("change", "error_type", "message"), [each[1:] for each in CHANGES], ids=[c[0] for c in CHANGES]
)
async def test_a_key_that_goes_bad_ends_its_connections_on_every_edge_and_no_others(
    gateway: Gateway,
    edges: list[ServiceProcess],
    clients_of: Callable[..., Clients],
    change: Callable[[KeyAdmin, MadeKey], object],
    error_type: str,
    message: str,
) -> None:
    admin = gateway.key_admin()
    key, other = [await asyncio.to_thread(admin.create) for _ in range(2)]
    made = [clients_of(Target.of(gateway, edge), debug=debug) for edge in edges for debug in (False, True)]
    live = [await each.connected(api_key=key.api_key) for each in made]
    stay = [await each.connected(api_key=other.api_key) for each in made]
    await asyncio.to_thread(change, admin, key)
    for client in live:
        while (frame := await client.receive())["type"] == "auth_status":
            pass
        assert (frame["type"], frame["data"].get("error_type")) == ("error", error_type)
        assert frame["data"]["message"] == message
        await client.expect_goodbye(4000, message)
    for client in stay:
        await client.assert_open()


async def test_a_narrowed_key_loses_its_channel_on_every_edge(
    gateway: Gateway, edges: list[ServiceProcess], clients_of: Callable[..., Clients]
) -> None:
    admin = gateway.key_admin()
    key = await asyncio.to_thread(admin.create)
    made = [clients_of(Target.of(gateway, edge), debug=debug) for edge in edges for debug in (False, True)]
    live = [await each.connected(workspace="w", api_key=key.api_key) for each in made]
    for client in live:
        for channel in ("kept", "lost"):
            await client.join(channel)
    await asyncio.to_thread(lambda: admin.update(key, permissions=["join:kept", "publish:kept"]))
    for client in live:
        await client.expect("unsubscription_success", channel="lost", reason="permission_denied")
        await client.expect("auth_status", status="authenticated")
    await live[0].publish("kept", "still here")
    for client in live[1:]:
        assert (await client.expect("chat_message"))["data"]["content"] == "still here"


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose auth service keeps a single change for watchers that come back."""
    gateway = Gateway(tmp_path_factory.mktemp("forgetful"), auth={"change-log-size": 1})
    with gateway:
        yield gateway


@pytest.mark.parametrize("debug", [False, True], ids=["client", "debug"])
async def test_changes_that_were_missed_are_found_by_checking_again(
    forgetful: Gateway, clients_of: Callable[..., Clients], debug: bool
) -> None:
    """Who lost its key while nobody could be told is let go; the others are told that they were checked."""
    made = clients_of(Target.of(forgetful), debug=debug)
    admin = forgetful.key_admin()
    kept, lost = [await asyncio.to_thread(admin.create) for _ in range(2)]
    stays, goes = [await made.connected(api_key=key.api_key) for key in (kept, lost)]
    forgetful.auth.kill9()
    other = forgetful.another_auth(f"meanwhile-{debug}")
    meanwhile = KeyAdmin(other.address, forgetful.service_token, forgetful.canaries.add)
    await asyncio.to_thread(meanwhile.revoke, lost)
    for _ in range(2):
        await asyncio.to_thread(meanwhile.create)
    other.stop()
    await asyncio.to_thread(forgetful.auth.start)
    await expect_end(goes, "key_revoked", "API key revoked")
    await stays.expect("auth_status", status="authenticated")
    await stays.assert_open()
