"""Channels, messages and threads, as people see them, in each engine and between them."""

from __future__ import annotations

import pytest

from tests.support.browser import ENGINES
from tests.support.demo_page import People
from tests.support.services import Gateway

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


def next_engine(engine: str) -> str:
    return ENGINES[(ENGINES.index(engine) + 1) % len(ENGINES)]


def test_messages_go_between_two_engines(people: People, engine: str) -> None:
    alice, bob = people("alice"), people("bob", engine=next_engine(engine))
    for page in (alice, bob):
        page.connect()
    alice.wait(lambda: sorted(alice.members) == ["alice", "bob"], "both are here")
    alice.write("Grüße 👋")
    bob.wait_for_messages("Grüße 👋")
    assert bob.text("author") == "alice"
    bob.write("Hello, alice")
    for page in (alice, bob):
        page.wait_for_messages("Grüße 👋", "Hello, alice")
    alice.wait_for("delivery", "seen by 1")
    bob.tab.click("sign-out")
    alice.wait(lambda: alice.members == ["alice"], "bob has gone")


def test_being_authenticated_survives_joins_leaves_and_messages(people: People) -> None:
    page = people("alice")
    page.connect()
    page.watch_states()
    page.join("general")
    page.write("Hello")
    page.wait_for_messages("Hello")
    page.tab.click("leave")
    page.wait(lambda: "lobby" in page.text("conversation-title"), "shows the other channel")
    page.join("general")
    page.wait_for_messages("Hello")
    assert page.shown_states == ["Connected, Authenticated"]


def test_a_channel_that_is_not_allowed_is_said_and_nothing_else_ends(people: People, gateway: Gateway) -> None:
    key = gateway.key_admin().create(["join:lobby", "publish:lobby", "history:lobby", "presence:lobby"])
    page = people("alice")
    page.connect(key.api_key)
    page.tab.type("channel-name", "secret")
    page.tab.click("join")
    page.wait(lambda: "Missing permission: join:secret" in page.text("channel-problem"), "says why")
    assert (page.connection, page.authentication) == ("Connected", "Authenticated")
    page.write("still here")
    page.wait_for_messages("still here")


def test_being_authenticated_survives_news_of_the_key_and_what_was_refused_is_sent_again(
    people: People, gateway: Gateway
) -> None:
    admin, reading = gateway.key_admin(), ["join:lobby", "history:lobby", "presence:lobby"]
    key = admin.create(reading)
    page = people("alice")
    page.connect(key.api_key)
    page.watch_states()
    page.write("May I?")
    page.wait(lambda: page.texts("delivery") == ["Not sent: Missing permission: publish:lobby"], "says why")
    admin.update(key, permissions=[*reading, "publish:lobby"])
    page.wait(lambda: "auth_status" in page.text("frames"), "was told of the change")
    page.tab.click("again")
    page.wait(lambda: page.texts("delivery") == ["stored"], "it is stored")
    assert page.messages == ["May I?"]
    assert page.shown_states == ["Connected, Authenticated"]
    admin.update(key, permissions=["join:general"])
    page.wait(lambda: "#lobby: permission_denied" in page.text("channel-problem"), "was put out of the channel")
    assert page.shown_states == ["Connected, Authenticated"]


def test_what_is_not_looked_at_is_unread(people: People) -> None:
    alice, bob = people("alice"), people("bob")
    for page in (alice, bob):
        page.connect()
    alice.join("general")
    bob.write("one", "two")
    alice.wait(lambda: alice.text("unread-lobby").startswith("2"), "two are unread")
    alice.tab.click("channel-lobby")
    alice.wait_for_messages("one", "two")
    alice.wait(lambda: not alice.texts("unread-lobby"), "all is read")


def test_history_is_read_while_scrolling(people: People) -> None:
    writer, reader = people("writer"), people("reader")
    writer.connect()
    texts = [f"message {number}" for number in range(1, 61)]
    writer.write(*texts)
    writer.wait(lambda: writer.texts("delivery").count("stored") == len(texts), "all are stored")
    reader.connect()
    # At least those that a join asks for; more where they do not fill the screen.
    reader.wait(lambda: reader.messages[-40:] == texts[20:], "shows the newest")

    def scroll_up() -> bool:
        reader.tab.run("() => { document.querySelector('[data-testid=messages]').scrollTop = 0; }")
        return reader.messages == texts

    reader.wait(scroll_up, "shows all messages")


def test_threads_are_begun_in_one_page_and_found_in_another(people: People) -> None:
    alice, bob = people("alice"), people("bob")
    alice.connect()
    alice.tab.type("thread-title", "Release 2")
    alice.tab.click("create-thread")
    alice.wait(lambda: "Release 2" in alice.text("conversation-title") and alice.members, "the thread is open")
    alice.write("Shall we?")
    alice.wait_for_messages("Shall we?")
    bob.connect()
    bob.wait(lambda: any("Release 2" in text for text in bob.texts("thread")), "the thread is listed")
    bob.tab.click("thread")
    bob.wait_for_messages("Shall we?")
    bob.write("Yes")
    alice.wait_for_messages("Shall we?", "Yes")
