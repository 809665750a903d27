"""`tidewire-client` against the services: nothing missed, nothing twice, whatever is killed, cut or swallowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from tests.support.node_client import DEADLINE_S, CallFailed, NodeClient
from tests.support.services import Gateway
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

Clients = Callable[..., NodeClient]
CUTS = 15
# Short, so that what is silent is noticed soon.
WATCHFUL = {
    "heartbeatMs": 500,
    "pongTimeoutMs": 500,
    "connectTimeoutMs": 3000,
    "backoffBaseMs": 50,
    "backoffMaxMs": 300,
}


@pytest.fixture
def proxy(gateway: Gateway) -> Iterator[TcpProxy]:
    with TcpProxy([gateway.edge.address]) as made:
        yield made


def publish(client: NodeClient, channel: str, contents: range) -> list[Future[Any]]:
    return [client.begin("publish", channel, {"content": content}) for content in contents]


def offsets(deliveries: list[Future[Any]]) -> list[int]:
    return [delivery.result(DEADLINE_S)["offset"] for delivery in deliveries]


def test_what_applications_do(node_client: Clients) -> None:
    alice, bob = node_client("alice"), node_client("bob")
    assert alice.call("connect")["session"]["client_id"] == "alice"
    bob.call("connect")
    assert alice.call("join", "general", {"presence": True})["offset"] == 0
    bob.call("join", "general", {})
    delivery = bob.call("publish", "general", {"content": "Grüße 👋"}, {"id": "m-1"})
    assert (delivery["id"], delivery["channel"], delivery["offset"]) == ("m-1", "general", 1)
    for client in (alice, bob):
        client.wait_for_messages("general", 1)
    [message] = alice.of("message")
    assert (message["client_id"], message["type"], message["data"]) == ("bob", "chat_message", {"content": "Grüße 👋"})
    assert {member["client_id"] for member in alice.call("presence", "general")} == {"alice", "bob"}
    wait_until(lambda: alice.of("presence"), what="bob came")
    assert alice.of("presence")[0]["member"]["client_id"] == "bob"
    wait_until(lambda: alice.call("receipt", "general", 1)["acknowledged"] == 2, DEADLINE_S, "both acknowledged")
    bob.call("broadcast", {"content": "to all"})
    bob.call("direct", "alice", {"content": "to alice"})
    alice.wait_for_messages("*", 1)
    alice.wait_for_messages("@alice", 1)
    assert [entry["id"] for entry in alice.call("history", "general")["messages"]] == ["m-1"]
    assert alice.call("ping") > 0
    bob.call("leave", "general")
    alice.call("publish", "general", {"content": "alone"})
    with pytest.raises(CallFailed, match="channel_error"):
        bob.call("publish", "general", {"content": "from outside"})
    assert bob.messages("general") == ["Grüße 👋"]
    bob.call("disconnect")
    wait_until(lambda: len(alice.of("presence")) == 2, what="bob went")


def test_the_edge_is_killed_while_messages_go_by(gateway: Gateway, node_client: Clients) -> None:
    writer, reader = node_client("writer", **WATCHFUL), node_client("reader", **WATCHFUL)
    watcher = node_client("watcher", **WATCHFUL)
    for client in (writer, reader, watcher):
        client.call("connect")
    writer.call("join", "general", {})
    reader.call("join", "general", {})
    watcher.call("join", "general", {"presence": True})
    sent = publish(writer, "general", range(100))
    reader.wait_for_messages("general", 20)
    sent += publish(writer, "general", range(100, 150))
    gateway.edge.kill9()
    reader.wait_for_state("reconnecting")
    sent += publish(writer, "general", range(150, 300))
    gateway.edge.start()
    assert offsets(sent) == list(range(1, 301))
    for client in (writer, reader, watcher):
        client.wait_for_messages("general", 300)
        assert client.messages("general") == list(range(300))
        assert client.of("lost") == []
        assert client.call("connect")["authenticated"]
    late = node_client("late")
    late.call("connect")
    late.call("join", "general", {"history": 5})
    late.wait_for_messages("general", 5)
    assert late.messages("general") == [295, 296, 297, 298, 299]
    wait_until(
        lambda: "late" in [update["member"]["client_id"] for update in watcher.of("presence")],
        DEADLINE_S,
        "presence is watched after the reconnect too",
    )


def test_an_edge_that_drains_lets_its_clients_come_back(gateway: Gateway, node_client: Clients) -> None:
    client = node_client("alice")
    client.call("connect")
    client.call("join", "drained", {})
    assert gateway.edge.stop() == 0
    ends = [status for status in client.of("status") if status["state"] == "reconnecting"]
    assert ends[0]["error"]["code"] == 1001
    waiting = client.begin("publish", "drained", {"content": "queued"})
    broadcast = client.begin("broadcast", {"content": "queued too"})
    gateway.edge.start()
    assert waiting.result(DEADLINE_S)["offset"] == 1
    assert broadcast.result(DEADLINE_S)["channel"] == "*"
    client.wait_for_messages("drained", 1)


def test_connections_are_cut_again_and_again(proxy: TcpProxy, node_client: Clients) -> None:
    url = f"http://{proxy.addresses()[0]}"
    writer, reader = (node_client(name, url=url, **WATCHFUL) for name in ("writer", "reader"))
    for client in (writer, reader):
        client.call("connect")
        client.call("join", "cut", {})
    sent: list[Future[Any]] = []
    for turn in range(CUTS):
        sent += publish(writer, "cut", range(turn * 20, turn * 20 + 20))
        proxy.cut()
        reader.wait_for_state("reconnecting")
        proxy.restore()
        reader.wait_for_state("connected")
    count = CUTS * 20
    assert offsets(sent) == list(range(1, count + 1))
    for client in (writer, reader):
        client.wait_for_messages("cut", count)
        assert client.messages("cut") == list(range(count))
        assert client.of("lost") == []
    assert proxy.counters.cut >= CUTS


def test_a_connection_that_swallows_everything_is_noticed(proxy: TcpProxy, node_client: Clients) -> None:
    client = node_client("alice", url=f"http://{proxy.addresses()[0]}", **WATCHFUL)
    client.call("connect")
    client.call("join", "silent", {})
    proxy.swallow_downstream()
    delivery = client.begin("publish", "silent", {"content": 1})
    wait_until(lambda: "no_answer" in str(client.of("status")), DEADLINE_S, "silence is noticed")
    assert not delivery.done()
    proxy.restore()
    assert delivery.result(DEADLINE_S)["offset"] == 1
    client.wait_for_messages("silent", 1)
    assert client.messages("silent") == [1]


def test_keys_that_are_refused_or_revoked_end_it(gateway: Gateway, node_client: Clients) -> None:
    stranger = node_client("stranger", api_key="nothing")
    with pytest.raises(CallFailed, match="invalid_key"):
        stranger.call("connect")
    assert stranger.state == "failed"
    key = gateway.key_admin().create()
    client = node_client("alice", api_key=key.api_key)
    client.call("connect")
    gateway.key_admin().revoke(key)
    client.wait_for_state("failed")
    assert client.of("status")[-1]["error"]["errorType"] == "key_revoked"


def test_limits_of_a_key_are_kept_to(gateway: Gateway, node_client: Clients) -> None:
    key = gateway.key_admin().create(frames_per_second=100)
    client = node_client("alice", api_key=key.api_key)
    client.call("connect")
    limits = client.of("status")[-1]["session"]["limits"]
    assert limits["frames_per_second"] == 100
    client.call("join", "paced", {})
    assert offsets(publish(client, "paced", range(300))) == list(range(1, 301))
    assert client.of("error") == []


def test_messages_that_are_too_large_are_refused(node_client: Clients) -> None:
    client = node_client("alice")
    client.call("connect")
    client.call("join", "large", {})
    for size in (62_000, 70_000):  # over the server's limit of a message, and over that of a frame
        with pytest.raises(CallFailed, match="message_error"):
            client.call("publish", "large", {"content": "x" * size})
    assert client.call("publish", "large", {"content": "x" * 60_000})["offset"] == 1
