"""The grammar of permissions, and the matcher against a slow, obvious one."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_service.core.errors import PermissionSyntaxError
from auth_service.core.permissions import ACTIONS, MAX_PATTERN_CHARS, PermissionSet, parse_permission, resource_of

# Few letters, so that patterns and channels meet often.
patterns = st.text(alphabet="ab*/", min_size=1, max_size=10)
channels = st.text(alphabet="ab/", max_size=10)


def slow_match(pattern: str, channel: str) -> bool:
    """Say the same as the grammar, by trying everything."""
    if not pattern:
        return not channel
    if pattern[0] == "*":
        return any(slow_match(pattern[1:], channel[start:]) for start in range(len(channel) + 1))
    return channel[:1] == pattern[0] and slow_match(pattern[1:], channel[1:])


@given(patterns, channels)
def test_the_matcher_agrees_with_the_obvious_one(pattern: str, channel: str) -> None:
    assert parse_permission(f"join:{pattern}").covers(channel) == slow_match(pattern, channel)


@given(st.lists(st.text(alphabet="ab/", max_size=3), min_size=1, max_size=5), st.data())
def test_a_channel_made_from_a_pattern_matches_it(pieces: list[str], data: st.DataObject) -> None:
    channel = pieces[0] + "".join(data.draw(channels) + piece for piece in pieces[1:])
    pattern = "*".join(pieces)
    if pattern:
        assert parse_permission(f"join:{pattern}").covers(channel)


@pytest.mark.parametrize(
    ("pattern", "channel", "covered"),
    [
        ("*", "", True),
        ("*", "a/b:c", True),
        ("chat-*", "chat-", True),
        ("chat-*", "chat", False),
        ("chat-*", "xchat-1", False),
        ("*-x", "chat-x", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "a1b2c", True),
        ("a*b*c", "acb", False),
        ("a*b*c", "abbbc", True),
        ("a*bc*c", "abc", False),
        ("a.c", "abc", False),
        ("general", "general", True),
        ("general", "General", False),
        ("**", "x", True),
    ],
)
def test_patterns(pattern: str, channel: str, covered: bool) -> None:
    assert parse_permission(f"join:{pattern}").covers(channel) is covered


def test_a_pattern_made_to_be_slow_is_not() -> None:
    permission = parse_permission("join:" + "a*" * 63 + "b")
    channel = "a" * 100_000
    started = time.perf_counter()
    assert not permission.covers(channel + "c")
    assert permission.covers(channel + "b")
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("action", [*ACTIONS, "*"])
def test_every_action_parses(action: str) -> None:
    assert parse_permission(f"{action}:x").action == action


@pytest.mark.parametrize(
    "text",
    ["", "join", ":", ":x", "join:", "Join:x", "fly:x", "join :x", "join: x", "join:\u00e9", "join:x\n", "join:(a+)+"],
)
def test_what_is_no_permission_is_refused(text: str) -> None:
    with pytest.raises(PermissionSyntaxError):
        parse_permission(text)


def test_the_length_of_a_pattern_is_bounded() -> None:
    parse_permission("join:" + "a" * MAX_PATTERN_CHARS)
    with pytest.raises(PermissionSyntaxError, match="128"):
        parse_permission("join:" + "a" * (MAX_PATTERN_CHARS + 1))


@given(st.text())
def test_garbage_raises_nothing_but_the_error_for_it(text: str) -> None:
    problem = ""
    try:
        permission = parse_permission(text)
    except PermissionSyntaxError as error:
        problem = error.problem
    assert problem or text == f"{permission.action}:{permission.pattern}"


def test_a_colon_may_stand_in_a_pattern() -> None:
    assert parse_permission("join:a:b").covers("a:b")


def test_a_set_allows_what_one_of_its_permissions_allows() -> None:
    held = PermissionSet.of(["join:chat-*", "publish:chat-1", "*:public"])
    assert held.allows("join", "chat-2")
    assert held.allows("publish", "chat-1")
    assert held.allows("history", "public")
    assert not held.allows("publish", "chat-2")
    assert not held.allows("history", "chat-1")
    assert not PermissionSet.of([]).allows("join", "chat-1")


def test_sets_are_equal_when_their_texts_are() -> None:
    assert PermissionSet.of(["join:a"]) == PermissionSet.of(["join:a"])
    assert PermissionSet.of(["join:a"]) != PermissionSet.of(["join:b"])


@pytest.mark.parametrize(
    ("action", "channel", "resource"),
    [("broadcast", "", "*"), ("admin", "", "*"), ("admin", "x", "x"), ("join", "", ""), ("join", "a", "a")],
)
def test_where_the_channel_may_be_left_out(action: str, channel: str, resource: str) -> None:
    assert resource_of(action, channel) == resource


def test_a_permission_for_some_channels_is_none_for_all() -> None:
    assert not PermissionSet.of(["admin:chat-*"]).allows("admin", resource_of("admin", ""))
