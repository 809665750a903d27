"""Names of topics, channels, clients and messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_service.core.errors import InvalidField
from session_service.core.topic import (
    Topic,
    broadcast_topic,
    check_channel,
    check_id,
    check_name,
    inbox_topic,
    parse_topic,
)

NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
CHANNELS = st.from_regex(r"[A-Za-z0-9_\-.:/#][A-Za-z0-9_\-.:/@#]{0,127}", fullmatch=True)


@given(NAMES, NAMES, CHANNELS)
def test_every_good_topic_comes_back_whole(domain: str, workspace: str, channel: str) -> None:
    topic = parse_topic(f"{domain}/{workspace}/{channel}")
    assert topic == Topic(domain, workspace, channel)
    assert str(topic) == f"{domain}/{workspace}/{channel}"
    assert (topic.is_broadcast, topic.is_inbox, topic.addressee) == (False, False, "")


def test_reserved_channels() -> None:
    broadcasts = parse_topic(broadcast_topic("tests", "w1"))
    assert (broadcasts.is_broadcast, broadcasts.is_inbox, broadcasts.addressee) == (True, False, "")
    inbox = parse_topic(inbox_topic("tests", "w1", "bob"))
    assert (inbox.is_broadcast, inbox.is_inbox, inbox.addressee) == (False, True, "bob")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "topic"),
        ("tests", "topic"),
        ("tests/w1", "topic"),
        ("/w1/chat", "domain"),
        ("te sts/w1/chat", "domain"),
        ("tests//chat", "workspace"),
        ("tests/" + "w" * 65 + "/chat", "workspace"),
        ("tests/w1/", "channel"),
        ("tests/w1/a*", "channel"),
        ("tests/w1/**", "channel"),
        ("tests/w1/" + "c" * 129, "channel"),
        ("tests/w1/caf\u00e9", "channel"),
        ("tests/w1/chat\n", "channel"),
        ("tests/w1/@", "channel"),
        ("tests/w1/@bob/x", "channel"),
    ],
)
def test_bad_topics_name_the_part_that_is_bad(text: str, field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parse_topic(text)
    assert caught.value.field == field


def test_channels_take_every_character_of_the_rule() -> None:
    check_channel("channel", "aZ9_-.:/#@x")
    check_channel("channel", "*")
    check_channel("channel", "@bob")
    check_channel("channel", "c" * 128)


@pytest.mark.parametrize("value", ["", "a b", "x" * 65, "a/b", "a.b", "\u0661"])
def test_bad_names(value: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_name("client_id", value)
    assert caught.value.field == "client_id"


@pytest.mark.parametrize("value", ["", "x" * 65])
def test_bad_message_ids(value: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_id("id", value)
    assert caught.value.field == "id"


@pytest.mark.parametrize("value", ["x", "x" * 64, "\u00fc" * 64, "a b/*"])
def test_good_message_ids(value: str) -> None:
    check_id("id", value)
