"""protocol.md: ack, history, receipt, `recover` of a join and `resume` of a connect: nothing missed, nothing twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.protocol_client import Clients, Frame, ProtocolClient, contents, new_name
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


async def fill(clients: Clients, channel: str, count: int) -> list[Frame]:
    """Publish `count` messages, and return their confirmations."""
    writer = await clients.member(channel)
    return [await writer.publish(channel, number) for number in range(1, count + 1)]


def position(frame: Frame) -> dict[str, Any]:
    return {"epoch": frame["epoch"], "offset": frame["offset"]}


async def ask_history(client: ProtocolClient, channel: str, **more: Any) -> dict[str, Any]:
    frame_id = await client.send("history", {"channel": channel, **more})
    return (await client.expect("history", frame_id=frame_id, channel=channel))["data"]


async def test_history_of_an_empty_channel(clients: Clients) -> None:
    client = await clients.connected()
    page = await ask_history(client, new_name("room"))
    assert (page["messages"], page["offset"], page["more"]) == ([], 0, False)


async def test_history_shows_messages_as_they_were_delivered(clients: Clients) -> None:
    channel = new_name("room")
    writer = await clients.member(channel)
    delivered = []
    for frame_type, data in [("chat_message", {"content": "ü"}), ("task_update", {"done": 0.5})]:
        frame_id = await writer.send(frame_type, data, channel=channel)
        await writer.confirmation(frame_id, frame_type)
        delivered.append(await writer.take(frame_type))
    reader = await clients.connected()
    page = await ask_history(reader, channel)
    assert page["messages"] == delivered
    assert (page["epoch"], page["offset"]) == (delivered[-1]["epoch"], 2)


async def test_history_without_since_is_the_last_ones(clients: Clients) -> None:
    channel = new_name("room")
    await fill(clients, channel, 5)
    reader = await clients.connected()
    page = await ask_history(reader, channel, limit=2)
    assert contents(page["messages"]) == [4, 5]
    assert page["offset"] == 5


async def test_history_by_pages(clients: Clients) -> None:
    channel = new_name("room")
    await fill(clients, channel, 7)
    reader = await clients.connected()
    since: dict[str, Any] = {"offset": 0}
    seen: list[Any] = []
    more, pages = True, 0
    while more:
        page = await ask_history(reader, channel, since=since, limit=3)
        seen += contents(page["messages"])
        since = position(page["messages"][-1])
        more, pages = page["more"], pages + 1
    assert (seen, pages) == ([1, 2, 3, 4, 5, 6, 7], 3)


async def test_history_since_the_newest_is_empty(clients: Clients) -> None:
    channel = new_name("room")
    last = (await fill(clients, channel, 3))[-1]
    reader = await clients.connected()
    page = await ask_history(reader, channel, since=position(last))
    assert (page["messages"], page["more"], page["offset"]) == ([], False, 3)


async def test_history_has_a_hundred_by_default(clients: Clients) -> None:
    channel = new_name("room")
    writer = await clients.member(channel)
    ids = [await writer.send("chat_message", {"content": n}, channel=channel) for n in range(1, 111)]
    for frame_id in ids:
        await writer.confirmation(frame_id, "chat_message")
    reader = await clients.connected()
    assert contents((await ask_history(reader, channel))["messages"]) == list(range(11, 111))
    page = await ask_history(reader, channel, since={"offset": 0})
    assert contents(page["messages"]) == list(range(1, 101))
    assert page["more"]
    page = await ask_history(reader, channel, since={"offset": 0}, limit=1000)
    assert len(page["messages"]) == 110
    assert not page["more"]


async def test_history_of_ones_own_inbox_and_of_the_broadcasts(clients: Clients) -> None:
    alice, bob = await clients.connected("alice"), await clients.connected("bob")
    for frame_type, data in [("direct_message", {"to": "bob", "content": 1}), ("broadcast", {"content": 2})]:
        frame_id = await alice.send(frame_type, data)
        await alice.confirmation(frame_id, frame_type)
        await bob.take(frame_type)
    assert contents((await ask_history(bob, "@bob"))["messages"]) == [1]
    assert contents((await ask_history(bob, "*"))["messages"]) == [2]


async def test_inbox_of_another_client_cannot_be_read(clients: Clients) -> None:
    client = await clients.connected("alice")
    frame_id = await client.send("history", {"channel": "@bob"})
    await client.expect_refusal("channel_error", 400, frame_id=frame_id)


async def test_ack_has_no_answer(clients: Clients) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    last = await client.publish(channel, 1)
    await client.take("chat_message")
    await client.send("ack", {"channel": channel, **position(last)})
    await client.assert_open()


async def test_ack_without_being_a_member(clients: Clients) -> None:
    client = await clients.connected()
    frame_id = await client.send("ack", {"channel": new_name("room"), "epoch": "e", "offset": 1})
    await client.expect_refusal("channel_error", 404, frame_id=frame_id)


async def receipt_of(client: ProtocolClient, channel: str, offset: int) -> tuple[int, int]:
    frame_id = await client.send("receipt", {"channel": channel, "offset": offset})
    data = (await client.take("receipt", frame_id=frame_id))["data"]
    assert data["offset"] == offset
    return data["written"], data["acknowledged"]


async def test_receipt_counts_members_written_to_and_acknowledged_by(clients: Clients) -> None:
    channel = new_name("room")
    alice, bob, carol = [await clients.member(channel, name) for name in ("alice", "bob", "carol")]
    first, second = [await alice.publish(channel, number) for number in (1, 2)]
    for client in (alice, bob, carol):
        assert contents([await client.take("chat_message") for _ in range(2)]) == [1, 2]
    await bob.send("ack", {"channel": channel, **position(second)})
    await carol.send("ack", {"channel": channel, **position(first)})

    async def shows(offset: int, acknowledged: int) -> bool:
        return await receipt_of(alice, channel, offset) == (3, acknowledged)

    await eventually(lambda: shows(1, 2), what="an acknowledgement is cumulative")
    await eventually(lambda: shows(2, 1), what="what bob acknowledged")


async def test_older_ack_moves_nothing_back(clients: Clients) -> None:
    channel = new_name("room")
    alice, bob = await clients.member(channel, "alice"), await clients.member(channel, "bob")
    confirmations = [await alice.publish(channel, number) for number in (1, 2)]
    for confirmation in reversed(confirmations):
        await bob.send("ack", {"channel": channel, **position(confirmation)})

    async def acknowledged() -> bool:
        return (await receipt_of(alice, channel, 2))[1] == 1

    await eventually(acknowledged, what="the newer acknowledgement holds")
    assert (await receipt_of(alice, channel, 2))[1] == 1


async def test_recover_brings_everything_missed_once_and_in_order(clients: Clients) -> None:
    channel = new_name("room")
    confirmations = await fill(clients, channel, 6)
    reader = await clients.connected()
    joined = await reader.join(channel, recover=position(confirmations[1]))
    assert joined["data"]["recovered"] is True
    assert joined["data"]["offset"] == 6
    missed = [await reader.expect("chat_message", channel=channel) for _ in range(4)]
    assert contents(missed) == [3, 4, 5, 6]
    assert [frame["offset"] for frame in missed] == [3, 4, 5, 6]
    await reader.assert_open()


async def test_recover_with_nothing_missed(clients: Clients) -> None:
    channel = new_name("room")
    last = (await fill(clients, channel, 2))[-1]
    reader = await clients.connected()
    assert (await reader.join(channel, recover=position(last)))["data"]["recovered"] is True
    await reader.assert_open()


async def test_recover_from_before_the_first_message(clients: Clients) -> None:
    channel = new_name("room")
    early = await clients.connected()
    joined = await early.join(channel)
    start = {"epoch": joined["data"]["epoch"], "offset": joined["data"]["offset"]}
    await early.close()
    await fill(clients, channel, 2)
    late = await clients.connected()
    assert (await late.join(channel, recover=start))["data"]["recovered"] is True
    assert contents([await late.expect("chat_message") for _ in range(2)]) == [1, 2]


async def test_recover_from_another_life_of_the_channel(clients: Clients) -> None:
    channel = new_name("room")
    await fill(clients, channel, 2)
    reader = await clients.connected()
    joined = await reader.join(channel, recover={"epoch": "another-life", "offset": 1})
    assert joined["data"]["recovered"] is False
    assert joined["data"]["reason"] == "epoch_changed"
    assert joined["data"]["epoch"] != "another-life"


async def test_recover_from_the_last_acknowledged_message(clients: Clients) -> None:
    channel = new_name("room")
    reader = await clients.member(channel, "dora")
    confirmations = await fill(clients, channel, 5)
    await reader.send("ack", {"channel": channel, **position(confirmations[2])})
    await reader.send("disconnect")
    await reader.take("disconnect")
    again = await clients.connected("dora")
    assert (await again.join(channel, recover="last_acked"))["data"]["recovered"] is True
    assert contents([await again.expect("chat_message") for _ in range(2)]) == [4, 5]
    await again.assert_open()


async def test_resume_goes_on_with_each_channel(clients: Clients) -> None:
    one, two = new_name("room"), new_name("room")
    in_one, in_two = await fill(clients, one, 3), await fill(clients, two, 2)
    reader = await clients.open()
    await reader.authenticate(
        clients.workspace,
        resume=[{"channel": one, **position(in_one[0])}, {"channel": two, **position(in_two[1])}],
    )
    first = await reader.expect("subscription_success", channel=one, recovered=True, offset=3)
    assert contents([await reader.expect("chat_message", channel=one) for _ in range(2)]) == [2, 3]
    await reader.expect("subscription_success", channel=two, recovered=True, offset=2)
    assert first["data"]["message"] == "Successfully joined channel"
    await reader.assert_open()
    await reader.publish(one, "a member again")


async def test_resume_says_what_it_cannot_recover(clients: Clients) -> None:
    channel = new_name("room")
    await fill(clients, channel, 1)
    reader = await clients.open()
    await reader.authenticate(clients.workspace, resume=[{"channel": channel, "epoch": "another-life", "offset": 7}])
    await reader.expect("subscription_success", channel=channel, recovered=False, reason="epoch_changed")


async def test_resume_of_a_bad_channel_does_not_stop_the_others(clients: Clients) -> None:
    channel = new_name("room")
    last = (await fill(clients, channel, 1))[-1]
    reader = await clients.open()
    await reader.authenticate(
        clients.workspace,
        resume=[{"channel": "a b", "epoch": "e", "offset": 0}, {"channel": channel, **position(last)}],
    )
    error = await reader.take("error")
    assert (error["data"]["error_type"], error["data"]["code"]) == ("channel_error", 400)
    await reader.take("subscription_success", channel=channel)


async def test_resume_of_the_broadcasts(clients: Clients) -> None:
    alice, bob = await clients.connected(), await clients.connected("bob")
    seen = []
    for number in range(3):
        frame_id = await alice.send("broadcast", {"content": number})
        await alice.confirmation(frame_id, "broadcast")
        seen.append(await bob.take("broadcast"))
    await bob.close()
    again = await clients.open("bob")
    await again.authenticate(clients.workspace, resume=[{"channel": "*", **position(seen[0])}])
    await again.expect("subscription_success", channel="*", recovered=True)
    assert contents([await again.expect("broadcast") for _ in range(2)]) == [1, 2]
    await again.assert_open()


@pytest.mark.parametrize("standing", ["broadcasts", "inbox"])
async def test_resumed_standing_channels_come_in_order_while_others_go_on(clients: Clients, standing: str) -> None:
    """What was missed comes before what is live, each offset once, however much is sent meanwhile."""
    sender = await clients.connected()
    frame_type, to, channel = (
        ("broadcast", {}, "*") if standing == "broadcasts" else ("direct_message", {"to": "r"}, "@r")
    )
    sent = 0

    async def send(count: int) -> None:
        nonlocal sent
        ids = []
        for _ in range(count):
            ids.append(await sender.send(frame_type, {**to, "n": sent}))
            sent += 1
        for frame_id in ids:
            await sender.confirmation(frame_id, frame_type)

    await send(5)
    first = await clients.connected("r")
    await send(1)
    last = await first.take(frame_type, n=5)
    await first.close()
    await send(20)
    for _ in range(5):
        back = await clients.open("r")
        background = asyncio.create_task(send(60))
        entry = {"channel": channel, "epoch": last["epoch"], "offset": last["offset"]}
        await back.send_connect(clients.workspace, resume=[entry])
        await background
        subscribed = await back.take("subscription_success", recovered=True)
        assert subscribed["channel"] == channel
        offsets = []
        while not offsets or offsets[-1] < sent:
            offsets.append((await back.take(frame_type))["offset"])
        assert offsets == list(range(last["offset"] + 1, sent + 1))
        last = {"epoch": last["epoch"], "offset": sent}
        await back.close()
