"""protocol.md, "The envelope", and the rows `invalid_format` and `unknown_type`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.protocol_client import Clients, new_name

pytestmark = pytest.mark.integration

NO_FRAMES = {
    "empty": "",
    "no JSON": "hello",
    "half an object": '{"type": "ping"',
    "trailing text": '{"type": "ping"} x',
    "two objects": '{"type": "ping"}{"type": "ping"}',
    "a comment": '{"type": "ping"} // hi',
    "single quotes": "{'type': 'ping'}",
    "a wrong field, then no JSON": '{"id": {}, "type": "ping", x}',
    "a wrong field, then too deep": '{"id": {}, "type": "ping", "data": ' + "[" * 20_000 + "]" * 20_000 + "}",
    "NaN": '{"type": "ping", "data": NaN}',
    "an array": '[{"type": "ping"}]',
    "a string": '"ping"',
    "a number": "42",
    "null": "null",
    "true": "true",
    "no type": "{}",
    "no type, but data": '{"data": {}, "id": "x"}',
    "type null": '{"type": null}',
    "type a number": '{"type": 5}',
    "type an object": '{"type": {"a": 1}}',
    "too deep": '{"type": "ping", "data": ' + "[" * 20_000 + "]" * 20_000 + "}",
}


@pytest.mark.parametrize("text", NO_FRAMES.values(), ids=list(NO_FRAMES))
async def test_no_frame_at_all(clients: Clients, text: str) -> None:
    client = await clients.connected()
    await client.send_text(text)
    await client.expect_error("invalid_format", 400)
    await client.expect_goodbye(4002)


@pytest.mark.parametrize("text", ["", "hello", "[]", "{}"])
async def test_no_frame_at_all_before_connect(clients: Clients, text: str) -> None:
    client = await clients.open()
    await client.send_text(text)
    await client.expect_error("invalid_format", 400)
    await client.expect_goodbye(4002)


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"type": "ping"}', bytes(range(256))])
async def test_binary_frame(clients: Clients, payload: bytes) -> None:
    client = await clients.connected()
    await client.send_text(payload)
    await client.expect_error("invalid_format", 400)
    await client.expect_goodbye(4002)


async def test_binary_frame_before_connect(clients: Clients) -> None:
    client = await clients.open()
    await client.send_text(b'{"type": "connect"}')
    await client.expect_error("invalid_format", 400)
    await client.expect_goodbye(4002)


@pytest.mark.parametrize("bad_id", ["", "i" * 65, 7, ["x"], {}])
async def test_bad_id_is_an_error(clients: Clients, bad_id: Any) -> None:
    client = await clients.connected()
    await client.send_frame({"type": "ping", "id": bad_id})
    await client.expect_error("invalid_format", 400)


@pytest.mark.parametrize("good_id", ["i", "i" * 64, "mit Leerzeichen", "ü-世界-👋", '"\\\n'])
async def test_id_is_repeated_on_the_answer(clients: Clients, good_id: str) -> None:
    client = await clients.connected()
    await client.send("ping", {}, id=good_id)
    assert (await client.receive())["id"] == good_id


async def test_answer_to_a_frame_without_id_has_none(clients: Clients) -> None:
    client = await clients.connected()
    await client.send("ping", {}, id=None)
    assert "id" not in await client.receive()


async def test_id_is_repeated_on_every_answer_of_a_join(clients: Clients) -> None:
    client = await clients.connected()
    frame_id = await client.send("join_channel", {"channel": new_name("room")})
    await client.expect("message_delivered", frame_id=frame_id)
    await client.expect("subscription_success", frame_id=frame_id)


async def test_id_is_repeated_on_an_error(clients: Clients) -> None:
    client = await clients.connected()
    frame_id = await client.send("leave_channel", {"channel": "never-joined"})
    await client.expect_error("channel_error", 404, frame_id=frame_id)


@pytest.mark.parametrize(
    "ignored",
    [{"timestamp": "yesterday"}, {"timestamp": 5}, {"client_id": "somebody-else"}, {"client_id": [1]}, {"x": None}],
    ids=str,
)
async def test_fields_of_a_client_that_are_ignored(clients: Clients, ignored: dict[str, Any]) -> None:
    client = await clients.connected()
    frame_id = await client.send("ping", {"n": 1}, **ignored)
    await client.expect("pong", frame_id=frame_id, n=1)


async def test_sender_is_who_is_connected_not_who_the_frame_says(clients: Clients) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    await client.publish(channel, "mine", client_id="somebody-else", timestamp="1999-01-01T00:00:00.000Z")
    message = await client.take("chat_message")
    assert message["client_id"] == client.client_id
    assert not message["timestamp"].startswith("1999")


async def test_unknown_type_is_named(plain_clients: Clients) -> None:
    client = await plain_clients.connected()
    frame_id = await client.send("made_up", {"a": 1})
    error = await client.expect_error("unknown_type", 400, frame_id=frame_id)
    assert "made_up" in error["data"]["message"]
    await client.assert_open()


@pytest.mark.parametrize("frame_type", ["", "PING", "connection_success", "error", "pong", "x" * 5000])
async def test_unknown_types_stay_open(plain_clients: Clients, frame_type: str) -> None:
    client = await plain_clients.connected()
    frame_id = await client.send(frame_type, {})
    await client.expect_refusal("unknown_type", 400, frame_id=frame_id)


NEEDS_DATA = ["join_channel", "leave_channel", "direct_message", "broadcast", "ack", "history", "presence", "receipt"]


@pytest.mark.parametrize("frame_type", NEEDS_DATA)
@pytest.mark.parametrize("data", [None, [1], "text", 5, True], ids=str)
async def test_data_must_be_an_object(clients: Clients, frame_type: str, data: Any) -> None:
    client = await clients.connected()
    frame_id = await client.send(frame_type, data)
    await client.expect_bad_field(frame_id)


WRONG_FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "join: no channel": ("join_channel", {}),
    "join: channel a number": ("join_channel", {"channel": 5}),
    "join: recover unknown word": ("join_channel", {"channel": "a", "recover": "everything"}),
    "join: recover without epoch": ("join_channel", {"channel": "a", "recover": {"offset": 1}}),
    "join: recover with text offset": ("join_channel", {"channel": "a", "recover": {"epoch": "e", "offset": "x"}}),
    "join: history 0": ("join_channel", {"channel": "a", "history": 0}),
    "join: history 1001": ("join_channel", {"channel": "a", "history": 1001}),
    "join: presence a word": ("join_channel", {"channel": "a", "presence": "maybe"}),
    "leave: no channel": ("leave_channel", {}),
    "direct: no addressee": ("direct_message", {"content": "x"}),
    "direct: addressee a number": ("direct_message", {"to": 5}),
    "ack: no epoch": ("ack", {"channel": "a", "offset": 1}),
    "ack: no offset": ("ack", {"channel": "a", "epoch": "e"}),
    "ack: negative": ("ack", {"channel": "a", "epoch": "e", "offset": -1}),
    "ack: beyond 64 bits": ("ack", {"channel": "a", "epoch": "e", "offset": 2**64}),
    "history: no channel": ("history", {}),
    "history: limit 0": ("history", {"channel": "a", "limit": 0}),
    "history: limit 1001": ("history", {"channel": "a", "limit": 1001}),
    "history: since a number": ("history", {"channel": "a", "since": 5}),
    "history: since without offset": ("history", {"channel": "a", "since": {"epoch": "e"}}),
    "presence: no channel": ("presence", {}),
    "receipt: no offset": ("receipt", {"channel": "a"}),
    "receipt: offset 0": ("receipt", {"channel": "a", "offset": 0}),
}


@pytest.mark.parametrize(("frame_type", "data"), WRONG_FIELDS.values(), ids=list(WRONG_FIELDS))
async def test_wrong_field_of_a_known_frame_stays_open(clients: Clients, frame_type: str, data: dict[str, Any]) -> None:
    client = await clients.connected()
    frame_id = await client.send(frame_type, data)
    await client.expect_bad_field(frame_id)


@pytest.mark.parametrize(
    "data", [{}, {"n": 1}, {"deep": {"list": [1, 2.5, None, True, "ü👋"]}}, [], [1, 2], "text", 5, None], ids=str
)
async def test_ping_takes_anything_and_gives_it_back(clients: Clients, data: Any) -> None:
    client = await clients.connected()
    await client.send_text(json.dumps({"type": "ping", "id": "p", "data": data}))
    pong = await client.receive()
    assert (pong["type"], pong["id"]) == ("pong", "p")
    assert pong["data"] == data


async def test_ping_without_data_gives_an_object(clients: Clients) -> None:
    client = await clients.connected()
    await client.send("ping")
    assert (await client.expect("pong"))["data"] == {}


async def test_offsets_may_be_decimal_strings(clients: Clients) -> None:
    """As protobuf's JSON mapping prints 64-bit numbers."""
    channel = new_name("room")
    client = await clients.member(channel)
    confirmation = await client.publish(channel, "one")
    await client.take("chat_message")
    await client.send(
        "ack", {"channel": channel, "epoch": confirmation["epoch"], "offset": str(confirmation["offset"])}
    )
    await client.send("history", {"channel": channel, "since": {"offset": "0"}})
    assert len((await client.expect("history"))["data"]["messages"]) == 1
